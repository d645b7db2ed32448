// Memory that is given back when there was no large work for a while.
#ifndef TIMBRE_SERVER_BASE_LARGE_WORK_H_
#define TIMBRE_SERVER_BASE_LARGE_WORK_H_

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <thread>

#include "absl/time/time.h"
#include "server/base/mutex.h"

namespace timbre {

// Working memory grows with the largest message, and is kept: allocating it for
// each of a stream's would cost more than their search. Once none came for
// `pause`, `give_back` is called, on a thread of this object. Thread-safe.
class LargeWork {
 public:
  // Bytes of a message that count as large.
  static constexpr size_t kLarge = 1 << 20;

  LargeWork(absl::Duration pause, std::function<void()> give_back);
  ~LargeWork();
  LargeWork(const LargeWork&) = delete;
  LargeWork& operator=(const LargeWork&) = delete;

  // There was a message of so many bytes. Costs nothing for those that are not
  // large, and some nanoseconds for those that are.
  void Saw(size_t bytes) {
    if (bytes >= kLarge) SawLarge();
  }

 private:
  void SawLarge();
  void Run();

  const absl::Duration pause_;
  const std::function<void()> give_back_;
  std::atomic<int64_t> last_ns_{0};  // when the last one came
  std::atomic<bool> some_{false};    // since memory was given back
  Mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_LARGE_WORK_H_
