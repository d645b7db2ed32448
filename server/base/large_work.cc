#include "server/base/large_work.h"

#include <pthread.h>

#include <utility>

#include "server/base/monotonic_clock.h"

namespace timbre {

LargeWork::LargeWork(absl::Duration pause, std::function<void()> give_back)
    : pause_(pause), give_back_(std::move(give_back)), thread_([this] {
        pthread_setname_np(pthread_self(), "give-back");
        Run();
      }) {}

LargeWork::~LargeWork() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void LargeWork::SawLarge() {
  last_ns_.store(absl::ToUnixNanos(MonotonicNow()), std::memory_order_relaxed);
  if (some_.exchange(true)) return;
  { const MutexLock lock(mutex_); }  // it waits, or will look
  changed_.notify_all();
}

void LargeWork::Run() {
  MutexLock lock(mutex_);
  while (true) {
    while (!stopping_ && !some_.load()) lock.Wait(changed_);
    absl::Duration left = pause_;
    while (!stopping_ && left > absl::ZeroDuration()) {
      lock.WaitFor(changed_, absl::ToChronoNanoseconds(left));
      left = absl::FromUnixNanos(last_ns_.load()) + pause_ - MonotonicNow();
    }
    if (stopping_) return;
    some_.store(false);
    lock.Unlock();
    give_back_();
    lock.Lock();
  }
}

}  // namespace timbre
