// How a stream that answers message by message ends as the server drains.
#ifndef TIMBRE_SERVER_SERVICE_TRANSPORT_DRAIN_GATE_H_
#define TIMBRE_SERVER_SERVICE_TRANSPORT_DRAIN_GATE_H_

#include <utility>

#include "absl/base/thread_annotations.h"
#include "server/base/mutex.h"

namespace timbre {

// Lets messages in until the server drains; the stream then ends between two
// of them. A client that has its last answer is given the time from one Drain
// to the next to say that this was all, so that a call that is complete ends
// well. Thread-safe.
class DrainGate {
 public:
  // A message has come. Whether it is to be answered: not as the server drains.
  [[nodiscard]] bool Enter() {
    const MutexLock lock(mutex_);
    inside_ = !draining_;
    return inside_;
  }
  // Its answer was taken; the stream is to be read on.
  void Leave() {
    const MutexLock lock(mutex_);
    inside_ = false;
    just_answered_ = true;
  }
  // The server drains: comes again and again. Whether the stream is to end now:
  // no message is in work, and none was answered since this came last.
  [[nodiscard]] bool Drain() {
    const MutexLock lock(mutex_);
    draining_ = true;
    return !inside_ && !std::exchange(just_answered_, false);
  }

 private:
  Mutex mutex_;
  bool inside_ ABSL_GUARDED_BY(mutex_) = false;  // a message is in work
  // Since the last Drain.
  bool just_answered_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_TRANSPORT_DRAIN_GATE_H_
