#include "server/base/thread_pool.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <utility>

namespace timbre {

ThreadPool::ThreadPool(const std::string& name, int threads, int niceness) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this, name, niceness] { Run(name, niceness); });
  }
}

ThreadPool::~ThreadPool() { Stop(); }

void ThreadPool::Submit(Task task) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_) return;
    tasks_.push_back(std::move(task));
  }
  wake_.notify_one();
}

void ThreadPool::Stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void ThreadPool::Run(const std::string& name, int niceness) {
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
  if (niceness != 0) {
    // On Linux niceness belongs to the thread, and children inherit it.
    setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), niceness);
  }
  while (true) {
    Task task;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

}  // namespace timbre
