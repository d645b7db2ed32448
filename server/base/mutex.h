// A std::mutex whose use clang checks: members say what guards them
// (ABSL_GUARDED_BY), functions what their callers hold
// (ABSL_EXCLUSIVE_LOCKS_REQUIRED), and script/test builds with -Wthread-safety.
// A wrapper, since the standard library's own has no annotations in libstdc++;
// of std::mutex, since TSan sees that and not absl::Mutex of a package.
#ifndef TIMBRE_SERVER_BASE_MUTEX_H_
#define TIMBRE_SERVER_BASE_MUTEX_H_

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "absl/base/thread_annotations.h"

namespace timbre {

class ABSL_LOCKABLE Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  friend class MutexLock;
  std::mutex mutex_;
};

// Holds a mutex for as long as it lives, but between Unlock and Lock.
class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex)
      : lock_(mutex.mutex_) {}
  // Not defaulted: the annotation belongs to a body.
  // NOLINTNEXTLINE(modernize-use-equals-default)
  ~MutexLock() ABSL_UNLOCK_FUNCTION() {}
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { lock_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { lock_.unlock(); }

  // As std::condition_variable has them, which takes the std::mutex itself.
  // Without predicates: those of lambdas would not be checked. They are waited
  // for in loops,
  //   while (!ready_) lock.Wait(changed_);
  void Wait(std::condition_variable& changed) { changed.wait(lock_); }
  template <typename Clock, typename Duration>
  std::cv_status WaitUntil(
      std::condition_variable& changed,
      const std::chrono::time_point<Clock, Duration>& deadline) {
    return changed.wait_until(lock_, deadline);
  }
  template <typename Rep, typename Period>
  std::cv_status WaitFor(std::condition_variable& changed,
                         const std::chrono::duration<Rep, Period>& timeout) {
    return changed.wait_for(lock_, timeout);
  }

 private:
  std::unique_lock<std::mutex> lock_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_MUTEX_H_
