// How many lines of one kind may be logged.
#ifndef TIMBRE_SERVER_BASE_LOG_LIMITER_H_
#define TIMBRE_SERVER_BASE_LOG_LIMITER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"

namespace timbre {

// A token bucket for each event: `burst` lines at once, `per_second` in the
// long run. Events are few fixed words; each stays known. Thread-safe.
class LogLimiter {
 public:
  LogLimiter(double burst, double per_second)
      : burst_(burst), per_second_(per_second) {}

  // Whether a line of `event` may be logged at `now`, which never goes back:
  // the number of its lines that were refused since the last one that might,
  // or nothing.
  std::optional<uint64_t> Admit(absl::string_view event, absl::Time now);
  // Lines refused, of all events.
  uint64_t refused();

 private:
  struct Bucket {
    double tokens = 0;
    absl::Time filled;
    uint64_t refused = 0;  // since the last line
  };

  const double burst_;
  const double per_second_;
  Mutex mutex_;
  std::map<std::string, Bucket, std::less<>> buckets_ ABSL_GUARDED_BY(mutex_);
  uint64_t refused_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_LOG_LIMITER_H_
