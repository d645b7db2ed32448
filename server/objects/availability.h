// Whether the object store answers: after a few failures nobody waits for it
// any more but one request a second, which finds out.
#ifndef TIMBRE_SERVER_OBJECTS_AVAILABILITY_H_
#define TIMBRE_SERVER_OBJECTS_AVAILABILITY_H_

#include <functional>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"

namespace timbre {

// Thread-safe; holds its lock for moments. Times are MonotonicNow.
class Availability {
 public:
  // Told when it goes away, with the last failure, and OK when it is back; one
  // at a time, in order, without a lock. Quick.
  using Observe = std::function<void(const absl::Status&)>;

  explicit Availability(Observe observe) : observe_(std::move(observe)) {}

  // Whether a request may be sent at `now`. One that may says how it ended.
  bool MayTry(absl::Time now);
  void Answered();
  void Failed(const absl::Status& why, absl::Time now);
  // It ended without a result: nobody waited for it any more.
  void GivenUp();

  // Since when it has been away; nothing: it is there.
  std::optional<absl::Time> away_since() const;
  // The last failure of one that is away; OK.
  absl::Status why() const;

 private:
  const Observe observe_;

  Mutex telling_;  // held while `observe_` is told; taken before `mutex_`
  mutable Mutex mutex_;
  int failures_ ABSL_GUARDED_BY(mutex_) = 0;  // in a row
  absl::Time first_failed_ ABSL_GUARDED_BY(mutex_);
  absl::Time next_try_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  absl::Status why_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_OBJECTS_AVAILABILITY_H_
