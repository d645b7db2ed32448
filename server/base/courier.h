// A thread that does small things for threads that must not take locks.
#ifndef TIMBRE_SERVER_BASE_COURIER_H_
#define TIMBRE_SERVER_BASE_COURIER_H_

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "server/base/semaphore.h"

namespace timbre {

// A thread of the lowest priority may be displaced for as long as others are
// busy, and who waits for a lock that it holds waits as long. It posts here
// what needs one. Thread-safe.
class Courier {
 public:
  using Task = std::function<void()>;

  // The thread is called `name` (15 characters), and has normal priority.
  explicit Courier(const std::string& name);
  // Stop().
  ~Courier();
  Courier(const Courier&) = delete;
  Courier& operator=(const Courier&) = delete;

  // Has the thread run `task`, after those that were posted before. Takes no
  // lock and never waits.
  void Post(Task task);
  // Runs what was posted and joins the thread; what is posted later is dropped.
  // Not from a task.
  void Stop();

 private:
  struct Letter {
    Task task;  // none: the last one
    Letter* next;
  };

  void Run(const std::string& name);
  // What has come, the oldest first.
  Letter* Collect();

  std::atomic<Letter*> box_{nullptr};  // the newest first
  Semaphore posted_;                   // once for each letter
  std::thread thread_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_COURIER_H_
