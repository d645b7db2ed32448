#include "server/engine/train/build_team.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <system_error>
#include <thread>
#include <vector>

#include "server/base/mutex.h"
#include "server/base/thread_priority.h"

namespace timbre {
namespace {

using Clock = std::chrono::steady_clock;

// At most between two looks at whether the searches have gone.
constexpr auto kPause = std::chrono::milliseconds(20);

}  // namespace

void BuildTeam::Enter(BuildStage stage, double begin, double end) {
  stage_ = stage;
  begin_ = begin;
  end_ = end;
  observer_.OnProgress(stage, begin);
}

// For what the build may not use of its one processor.
void BuildTeam::Rest(std::chrono::nanoseconds worked) const {
  const double cpus = observer_.CpusNow(threads_);
  if (cpus >= 1) return;
  std::this_thread::sleep_for(
      std::min<std::chrono::duration<double, std::nano>>(
          kPause, worked * (1 / cpus - 1)));
}

absl::Status BuildTeam::Check() const {
  if (!observer_.cancelled()) return absl::OkStatus();
  return absl::CancelledError("the build was cancelled");
}

absl::Status BuildTeam::ForEach(
    size_t items, absl::FunctionRef<void(size_t item, size_t worker)> body) {
  std::atomic<size_t> next{0};
  Mutex mutex;                   // of `done` alone: nobody misses it
  std::condition_variable done;  // all items are given out
  const auto take = [&](size_t worker) {
    const size_t item = next.fetch_add(1);
    if (item < items) body(item, worker);
    GiveWay();
    return item;
  };
  // Steps aside while there are searches; the build's own thread goes on.
  const auto help = [&](size_t worker) {
    while (!observer_.cancelled() && next.load() < items) {
      if (static_cast<double>(worker) + 1 <= observer_.CpusNow(threads_)) {
        take(worker);
        continue;
      }
      MutexLock lock(mutex);
      if (next.load() < items) lock.WaitFor(done, kPause);
    }
  };
  std::vector<std::thread> others;
  try {
    for (size_t i = 1; i < std::min(threads(), items); ++i) {
      others.emplace_back(help, i);
    }
  } catch (const std::system_error&) {
    // No more threads to be had: with fewer it takes longer.
  }
  while (!observer_.cancelled()) {
    const Clock::time_point start = Clock::now();
    const size_t item = take(0);
    if (item >= items) break;
    Rest(Clock::now() - start);
    observer_.OnProgress(stage_, begin_ + (end_ - begin_) *
                                              static_cast<double>(item + 1) /
                                              static_cast<double>(items));
  }
  {
    const MutexLock lock(mutex);
    done.notify_all();
  }
  for (std::thread& other : others) other.join();
  return Check();
}

absl::Status BuildTeam::ForRanges(
    size_t count, size_t at_once,
    absl::FunctionRef<void(size_t first, size_t count, size_t worker)> body) {
  return ForEach((count + at_once - 1) / at_once,
                 [&](size_t item, size_t worker) {
                   const size_t first = item * at_once;
                   body(first, std::min(at_once, count - first), worker);
                 });
}

}  // namespace timbre
