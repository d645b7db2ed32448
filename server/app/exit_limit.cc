#include "server/app/exit_limit.h"

#include <chrono>
#include <utility>

namespace timbre {

ExitLimit::ExitLimit(absl::Duration limit, std::function<void()> late)
    : thread_([this, limit, late = std::move(late)] {
        if (!WaitUntilGone(limit)) late();
      }) {}

ExitLimit::~ExitLimit() {
  {
    const MutexLock lock(mutex_);
    in_time_ = true;
  }
  gone_.notify_all();
  thread_.join();
}

bool ExitLimit::WaitUntilGone(absl::Duration limit) {
  const auto deadline =
      std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(limit);
  MutexLock lock(mutex_);
  while (!in_time_) {
    if (lock.WaitUntil(gone_, deadline) == std::cv_status::timeout) break;
  }
  return in_time_;
}

}  // namespace timbre
