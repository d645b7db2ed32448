// The frames of one message, handed out piece by piece to the thread that
// answers it and to workers that have nothing else to do.
#ifndef TIMBRE_SERVER_SERVICE_LIVE_PIECES_H_
#define TIMBRE_SERVER_SERVICE_LIVE_PIECES_H_

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/base/thread_pool.h"
#include "server/service/live/latency_budget.h"

namespace timbre {

struct Piece {
  uint64_t first = 0;
  uint64_t rows = 0;
  // How to search them; nullopt: pass them through.
  std::optional<SearchSettings> settings;
};

// Thread-safe. Held by shared pointers: a helper may come when all is done.
class Pieces : public std::enable_shared_from_this<Pieces> {
 public:
  // Does one piece, on any of the threads that help; several at once.
  using Work = absl::FunctionRef<absl::Status(const Piece&)>;

  // What is pointed to is used until Finish() returns; `cost` and `budget` by
  // one thread at a time.
  Pieces(uint64_t rows, LatencyBudget& budget, FrameCost& cost, Work work)
      : rows_(rows), work_(work), budget_(budget), cost_(cost) {}

  // Has idle threads of `pool` help, as many as make it faster. They leave when
  // another task waits for them.
  void Recruit(ThreadPool& pool);
  // Does the next piece. False: there is none, or one has failed.
  bool DoNext();
  // No further piece is begun.
  void Stop(const absl::Status& status);
  // Waits for the pieces of others, and says how it went.
  absl::Status Finish();
  // What all threads spent on it, together. For the thread that has called
  // Finish().
  absl::Duration spent() const { return spent_until_finish_; }

 private:
  // How long `rows` frames take one thread, about.
  absl::Duration CostOf(uint64_t rows) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return cost_.Of(budget_.shape(), budget_.settings()) * rows;
  }
  bool WantsHelper(size_t threads);
  void Leave();
  // Takes the next piece, if there is one that may be begun.
  std::optional<Piece> Claim();
  // It is done, and took the thread so long: what its cost was is learned.
  void Complete(const Piece& piece, const absl::Status& status,
                absl::Duration took);

  const uint64_t rows_;
  const Work work_;
  absl::Duration spent_until_finish_;  // of the thread that calls Finish

  Mutex mutex_;
  std::condition_variable idle_;
  LatencyBudget& budget_ ABSL_GUARDED_BY(mutex_);
  FrameCost& cost_ ABSL_GUARDED_BY(mutex_);
  // The first frame that nobody has.
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  // Those that are there or on their way.
  uint64_t helpers_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t in_work_ ABSL_GUARDED_BY(mutex_) = 0;  // pieces
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  absl::Duration spent_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_LIVE_PIECES_H_
