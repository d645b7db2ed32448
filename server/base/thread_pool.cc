#include "server/base/thread_pool.h"

#include <pthread.h>

#include <utility>

namespace timbre {
namespace {

// None: there is none.
ThreadPool::Task TakeFirst(std::deque<ThreadPool::Task>& tasks) {
  if (tasks.empty()) return nullptr;
  ThreadPool::Task task = std::move(tasks.front());
  tasks.pop_front();
  return task;
}

}  // namespace

ThreadPool::ThreadPool(const std::string& name, int threads,
                       ThreadPriority priority) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this, name, priority] { Run(name, priority); });
  }
}

ThreadPool::~ThreadPool() { Stop(); }

void ThreadPool::Submit(Task task, Urgency urgency) {
  {
    const MutexLock lock(mutex_);
    if (stopping_) return;
    (urgency == Urgency::kUrgent ? urgent_ : bulk_).push_back(std::move(task));
  }
  wake_.notify_one();
}

bool ThreadPool::SubmitIfIdle(Task task) {
  {
    const MutexLock lock(mutex_);
    const size_t waiting = urgent_.size() + bulk_.size() + extra_.size();
    if (stopping_ || idle_ <= waiting) return false;
    extra_.push_back(std::move(task));
  }
  wake_.notify_one();
  return true;
}

void ThreadPool::SubmitToEach(const Task& task) {
  {
    const MutexLock lock(mutex_);
    if (stopping_) return;
    each_ = task;
    ++generation_;
  }
  wake_.notify_all();
}

bool ThreadPool::TasksWait() {
  const MutexLock lock(mutex_);
  return urgent_.size() + bulk_.size() > idle_;
}

void ThreadPool::RunUrgent() {
  for (int i = 0; i < kUrgentInARow; ++i) {
    const Task task = TakeUrgent();
    if (task == nullptr) return;
    task();
  }
}

ThreadPool::Task ThreadPool::TakeUrgent() {
  const MutexLock lock(mutex_);
  return TakeFirst(urgent_);
}

ThreadPool::Task ThreadPool::TakeNext() {
  const bool bulk =
      !bulk_.empty() && (urgent_.empty() || urgent_in_a_row_ == kUrgentInARow);
  urgent_in_a_row_ = bulk || bulk_.empty() ? 0 : urgent_in_a_row_ + 1;
  return TakeFirst(bulk ? bulk_ : urgent_.empty() ? extra_ : urgent_);
}

void ThreadPool::Stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void ThreadPool::Run(const std::string& name, ThreadPriority priority) {
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
  SetThreadPriority(priority);
  uint64_t generation = 0;
  while (const Task task = AwaitNext(generation)) task();
}

ThreadPool::Task ThreadPool::AwaitNext(uint64_t& generation) {
  MutexLock lock(mutex_);
  ++idle_;
  while (!stopping_ && urgent_.empty() && bulk_.empty() && extra_.empty() &&
         generation == generation_) {
    lock.Wait(wake_);
  }
  --idle_;
  const bool mine = std::exchange(generation, generation_) != generation_;
  return mine ? each_ : TakeNext();
}

}  // namespace timbre
