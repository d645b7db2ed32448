// The frames of one message, handed out piece by piece to the thread that
// answers it and to workers that have nothing else to do.
#ifndef TIMBRE_SERVER_SERVICE_LIVE_PIECES_H_
#define TIMBRE_SERVER_SERVICE_LIVE_PIECES_H_

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
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
      : rows_(rows), budget_(budget), cost_(cost), work_(work) {}

  // Has idle threads of `pool` help, as many as make it faster. They leave when
  // another task waits for them.
  void Recruit(ThreadPool& pool);
  // Does the next piece. False: there is none, or one has failed.
  bool DoNext();
  // No further piece is begun.
  void Stop(const absl::Status& status);
  // Waits for the pieces of others, and says how it went.
  absl::Status Finish();
  // What all threads spent on it, together.
  absl::Duration spent() const { return spent_; }

 private:
  // How long `rows` frames take one thread, about. REQUIRES: mutex_.
  absl::Duration CostOf(uint64_t rows) const {
    return cost_.Of(budget_.shape(), budget_.settings()) * rows;
  }
  bool WantsHelper(size_t threads);
  void Leave();
  std::optional<Piece> Take();
  void Give(const Piece& piece, const absl::Status& status,
            absl::Duration took);

  const uint64_t rows_;
  LatencyBudget& budget_;
  FrameCost& cost_;
  const Work work_;

  std::mutex mutex_;
  std::condition_variable idle_;
  // All below guarded by mutex_.
  uint64_t next_ = 0;     // the first frame that nobody has
  uint64_t helpers_ = 0;  // that are there or on their way
  uint64_t in_work_ = 0;  // pieces
  absl::Status status_;
  absl::Duration spent_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_LIVE_PIECES_H_
