// A fixed number of threads, and tasks that wait for them.
#ifndef TIMBRE_SERVER_BASE_THREAD_POOL_H_
#define TIMBRE_SERVER_BASE_THREAD_POOL_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "server/base/mutex.h"
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
  // Waits for the next task; none: the end. `generation` is that of the last
  // task of all threads which this one has run.
  Task AwaitNext(uint64_t& generation);
  // The next task; none: there is none.
  Task TakeNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The next urgent one; none: there is none.
  Task TakeUrgent();

  Mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> urgent_ ABSL_GUARDED_BY(mutex_);
  std::deque<Task> bulk_ ABSL_GUARDED_BY(mutex_);
  std::deque<Task> extra_ ABSL_GUARDED_BY(mutex_);  // of SubmitIfIdle
  // What every thread is to run, the `generation_`th of its kind.
  Task each_ ABSL_GUARDED_BY(mutex_);
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t idle_ ABSL_GUARDED_BY(mutex_) = 0;  // threads that wait
  int urgent_in_a_row_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::vector<std::thread> threads_;  // the last: they use what is above
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_THREAD_POOL_H_
