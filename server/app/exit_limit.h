// An end that comes in time, whatever hangs.
#ifndef TIMBRE_SERVER_APP_EXIT_LIMIT_H_
#define TIMBRE_SERVER_APP_EXIT_LIMIT_H_

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "absl/time/time.h"

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
  std::mutex mutex_;
  std::condition_variable gone_;
  bool in_time_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_APP_EXIT_LIMIT_H_
