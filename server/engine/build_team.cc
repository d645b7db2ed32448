#include "server/engine/build_team.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace timbre {

void BuildTeam::Enter(BuildStage stage, double begin, double end) {
  stage_ = stage;
  begin_ = begin;
  end_ = end;
  observer_.OnProgress(stage, begin);
}

absl::Status BuildTeam::Check() const {
  if (!observer_.cancelled()) return absl::OkStatus();
  return absl::CancelledError("the build was cancelled");
}

absl::Status BuildTeam::ForEach(
    size_t items, absl::FunctionRef<void(size_t item, size_t worker)> body) {
  std::atomic<size_t> next{0};
  const auto work = [&](size_t worker) {
    while (!observer_.cancelled()) {
      // The build's own thread goes on whatever happens.
      if (worker > 0 &&
          static_cast<int>(worker) >= observer_.ThreadsNow(threads_)) {
        return;
      }
      const size_t item = next.fetch_add(1);
      if (item >= items) return;
      body(item, worker);
      if (worker > 0) continue;
      observer_.OnProgress(stage_, begin_ + (end_ - begin_) *
                                                static_cast<double>(item + 1) /
                                                static_cast<double>(items));
    }
  };
  std::vector<std::thread> others;
  for (size_t i = 1; i < std::min(threads(), items); ++i) {
    others.emplace_back(work, i);
  }
  work(0);
  for (std::thread& other : others) other.join();
  return Check();
}

}  // namespace timbre
