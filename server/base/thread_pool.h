// A fixed number of threads, and tasks that wait for them.
#ifndef TIMBRE_SERVER_BASE_THREAD_POOL_H_
#define TIMBRE_SERVER_BASE_THREAD_POOL_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "server/base/thread_priority.h"

namespace timbre {

// Urgent tasks go first, but never more than kUrgentInARow while bulk ones
// wait; tasks of one urgency in the order in which they were submitted.
// Thread-safe.
class ThreadPool {
 public:
  using Task = std::function<void()>;
  enum class Urgency { kUrgent, kBulk };
  static constexpr int kUrgentInARow = 16;

  // Threads are called `name` in ps and gdb (15 characters).
  ThreadPool(const std::string& name, int threads,
             ThreadPriority priority = ThreadPriority::kNormal);
  // Stop().
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Never blocks. After Stop the task is dropped.
  void Submit(Task task, Urgency urgency = Urgency::kUrgent);
  // Has a thread that has nothing to do run it, if there is one; else drops it:
  // false. Any other task goes first.
  bool SubmitIfIdle(Task task);
  // Has every thread run `task` once, between two others; instead of an
  // earlier one of these that it has not begun.
  void SubmitToEach(const Task& task);
  // Whether there are other tasks than those, and no idle threads for them.
  bool TasksWait();
  // Runs urgent tasks that wait, at most kUrgentInARow, on the calling thread,
  // which is one of the pool's: for long tasks, between two pieces.
  void RunUrgent();
  // Finishes what was submitted and joins the threads. Not from a task.
  void Stop();
  size_t threads() const { return threads_.size(); }

 private:
  void Run(const std::string& name, ThreadPriority priority);
  // The next task; none: there is none. REQUIRES: mutex_.
  Task TakeNext();
  // The first of `tasks`; none: there is none. REQUIRES: mutex_.
  static Task TakeFirst(std::deque<Task>& tasks);
  // The next urgent one. Takes mutex_.
  Task TakeUrgent();

  // What every thread is to run, the `generation_`th of its kind.
  Task each_;                // guarded by mutex_
  uint64_t generation_ = 0;  // guarded by mutex_
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> urgent_;  // guarded by mutex_
  std::deque<Task> bulk_;    // guarded by mutex_
  std::deque<Task> extra_;   // of SubmitIfIdle; guarded by mutex_
  size_t idle_ = 0;          // threads that wait; guarded by mutex_
  int urgent_in_a_row_ = 0;  // guarded by mutex_
  bool stopping_ = false;    // guarded by mutex_
  std::vector<std::thread> threads_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_THREAD_POOL_H_
