#include "server/app/exit_limit.h"

#include <utility>

namespace timbre {

ExitLimit::ExitLimit(absl::Duration limit, std::function<void()> late)
    : thread_([this, limit, late = std::move(late)] {
        std::unique_lock<std::mutex> lock(mutex_);
        if (!gone_.wait_for(lock, absl::ToChronoNanoseconds(limit),
                            [this] { return in_time_; })) {
          lock.unlock();
          late();
        }
      }) {}

ExitLimit::~ExitLimit() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    in_time_ = true;
  }
  gone_.notify_all();
  thread_.join();
}

}  // namespace timbre
