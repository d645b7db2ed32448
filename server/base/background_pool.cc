#include "server/base/background_pool.h"

#include <pthread.h>

#include <utility>

#include "server/base/thread_priority.h"

namespace timbre {

BackgroundPool::BackgroundPool(const std::string& name, int threads)
    : courier_(name + "-courier") {
  for (int i = 0; i < threads; ++i) {
    workers_.push_back(std::make_unique<Worker>());
    Worker* const worker = workers_.back().get();
    worker->thread = std::thread([this, worker, name] { Run(*worker, name); });
    courier_.Post([this, worker] { free_.push_back(worker); });
  }
}

BackgroundPool::~BackgroundPool() { Stop(); }

void BackgroundPool::Submit(Start start) {
  courier_.Post([this, start = std::move(start)]() mutable {
    if (stopping_) return;
    waiting_.push_back(std::move(start));
    Assign();
  });
}

void BackgroundPool::Assign() {
  while (!free_.empty() && !waiting_.empty()) {
    Work work = waiting_.front()();
    waiting_.pop_front();
    if (work == nullptr) continue;
    Worker& worker = *free_.back();
    free_.pop_back();
    worker.work = std::move(work);
    worker.brought.Post();
  }
  if (!stopping_ || !waiting_.empty()) return;
  for (Worker* const worker : free_) worker->brought.Post();  // with no work
  free_.clear();
}

void BackgroundPool::Stop() {
  courier_.Post([this] {
    stopping_ = true;
    Assign();
  });
  for (const auto& worker : workers_) {
    if (worker->thread.joinable()) worker->thread.join();
  }
  courier_.Stop();
}

void BackgroundPool::Run(Worker& worker, const std::string& name) {
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
  SetThreadPriority(ThreadPriority::kBackground);
  while (true) {
    worker.brought.Wait();
    if (worker.work == nullptr) return;
    worker.work();
    courier_.Post([this, &worker] {
      worker.work = nullptr;
      free_.push_back(&worker);
      Assign();
    });
  }
}

}  // namespace timbre
