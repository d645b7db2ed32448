// An end that comes in time, whatever hangs.
#ifndef TIMBRE_SERVER_APP_EXIT_LIMIT_H_
#define TIMBRE_SERVER_APP_EXIT_LIMIT_H_

#include <condition_variable>
#include <functional>
#include <thread>

#include "absl/time/time.h"
#include "server/base/mutex.h"

namespace timbre {

// Calls `late`, on a thread of its own, unless it goes within `limit`: a thread
// that waits for a disk that does not answer cannot be told to stop.
class ExitLimit {
 public:
  ExitLimit(absl::Duration limit, std::function<void()> late);
  ~ExitLimit();
  ExitLimit(const ExitLimit&) = delete;
  ExitLimit& operator=(const ExitLimit&) = delete;

 private:
  // Whether it went within `limit`.
  bool WaitUntilGone(absl::Duration limit);

  Mutex mutex_;
  std::condition_variable gone_;
  bool in_time_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_APP_EXIT_LIMIT_H_
