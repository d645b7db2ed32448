// Threads of the lowest priority, and work that waits for them.
#ifndef TIMBRE_SERVER_BASE_BACKGROUND_POOL_H_
#define TIMBRE_SERVER_BASE_BACKGROUND_POOL_H_

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/base/courier.h"
#include "server/base/semaphore.h"

namespace timbre {

// Its threads share no lock with others, not even to be given work: a courier
// brings it, and takes it back to destroy it. Thread-safe.
class BackgroundPool {
 public:
  // What a thread does. It takes no locks that others wait for, and hands over
  // what does.
  using Work = std::function<void()>;
  // Called by the courier when a thread is free: the work, or nothing where it
  // was called off meanwhile.
  using Start = std::function<Work()>;

  // Threads are called `name` in ps and gdb (15 characters).
  BackgroundPool(const std::string& name, int threads);
  // Stop().
  ~BackgroundPool();
  BackgroundPool(const BackgroundPool&) = delete;
  BackgroundPool& operator=(const BackgroundPool&) = delete;

  // In the order in which they come. After Stop it is dropped.
  void Submit(Start start);
  // Has the courier run `task`, which is quick, in the order in which tasks
  // come. Takes no lock: from Work.
  void HandOver(Courier::Task task) { courier_.Post(std::move(task)); }
  // Finishes what was submitted and joins the threads. Not from one of them.
  void Stop();

 private:
  struct Worker {
    Semaphore brought;
    Work work;  // of whoever was posted last: none is the end
    std::thread thread;
  };

  void Run(Worker& worker, const std::string& name);
  void Assign();  // by the courier

  Courier courier_;
  std::vector<std::unique_ptr<Worker>> workers_;
  // Of the courier alone, like what follows.
  std::deque<Start> waiting_;
  std::vector<Worker*> free_;
  bool stopping_ = false;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_BACKGROUND_POOL_H_
