// The threads of one build, and what they tell of their progress.
#ifndef TIMBRE_SERVER_ENGINE_TRAIN_BUILD_TEAM_H_
#define TIMBRE_SERVER_ENGINE_TRAIN_BUILD_TEAM_H_

#include <chrono>
#include <cstddef>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "server/engine/train/build_observer.h"

namespace timbre {

// Used by the thread of the build alone. The other threads live as long as one
// ForEach: starting one takes some 30 us, and it gets the priority of the one
// that starts it.
class BuildTeam {
 public:
  // `threads` >= 1, the calling one included. `observer` outlives the team.
  BuildTeam(int threads, BuildObserver& observer)
      : threads_(threads), observer_(observer) {}

  size_t threads() const { return static_cast<size_t>(threads_); }

  // What follows is `stage`, of which [begin, end) (0..1) is done meanwhile.
  void Enter(BuildStage stage, double begin = 0, double end = 1);

  // Calls body(item, worker) once for every item of [0, items), in no order,
  // worker < threads(). Items should take about a millisecond: between two of
  // them the build makes way for searches and sees that it is cancelled, which
  // gives CANCELLED.
  absl::Status ForEach(
      size_t items, absl::FunctionRef<void(size_t item, size_t worker)> body);

  // The same for [0, count) in ranges of `at_once`.
  absl::Status ForRanges(
      size_t count, size_t at_once,
      absl::FunctionRef<void(size_t first, size_t count, size_t worker)> body);

  // CANCELLED, or OK.
  absl::Status Check() const;

 private:
  void Rest(std::chrono::nanoseconds worked) const;

  const int threads_;
  BuildObserver& observer_;
  BuildStage stage_ = BuildStage::kTraining;
  double begin_ = 0;
  double end_ = 1;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_TRAIN_BUILD_TEAM_H_
