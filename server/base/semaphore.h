// A count that threads wait for.
#ifndef TIMBRE_SERVER_BASE_SEMAPHORE_H_
#define TIMBRE_SERVER_BASE_SEMAPHORE_H_

#include <semaphore.h>
#include <time.h>

#include <cerrno>

#include "absl/time/time.h"
#include "server/base/monotonic_clock.h"

namespace timbre {

// Unlike a condition variable it has no lock: who posts can be displaced in the
// middle of it without holding up who waits or posts. Thread-safe.
class Semaphore {
 public:
  Semaphore() { sem_init(&semaphore_, 0, 0); }
  ~Semaphore() { sem_destroy(&semaphore_); }
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;

  void Post() { sem_post(&semaphore_); }
  void Wait() {
    while (sem_wait(&semaphore_) != 0 && errno == EINTR) {
    }
  }
  // Whether it was posted within `timeout`.
  bool WaitFor(absl::Duration timeout) {
    const timespec end =
        absl::ToTimespec((MonotonicNow() + timeout) - absl::UnixEpoch());
    int result = 0;
    do {
      result = sem_clockwait(&semaphore_, CLOCK_MONOTONIC, &end);
    } while (result != 0 && errno == EINTR);
    return result == 0;
  }

 private:
  sem_t semaphore_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_SEMAPHORE_H_
