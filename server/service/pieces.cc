#include "server/service/pieces.h"

#include <utility>

#include "absl/time/clock.h"

namespace timbre {
namespace {

constexpr absl::Duration kPieceTime = absl::Microseconds(500);
// Waking a helper takes up to 100 us on a virtual machine whose CPU sleeps: each
// thread shall have this much to do.
constexpr absl::Duration kWorthHelping = absl::Microseconds(150);
// The engine works on four frames at a time.
constexpr uint64_t kTogether = 4;

}  // namespace

void PieceSize::Adapt(absl::Duration duration) {
  if (duration > kPieceTime) {
    rows_ = std::max(kLeast, rows_ / 2);
  } else if (duration < kPieceTime / 2) {
    rows_ = std::min(kMost, rows_ * 2);
  }
}

void Pieces::Recruit(ThreadPool& pool, ThreadPool::Urgency urgency) {
  while (WantsHelper(pool.threads())) {
    const bool comes = pool.SubmitIfIdle(
        [this, keep = shared_from_this(), &pool] {
          while (!pool.TasksWait() && DoNext()) {
          }
          Leave();
        },
        urgency);
    if (comes) continue;
    return Leave();
  }
}

// Counts it where it does.
bool Pieces::WantsHelper(size_t threads) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!status_.ok() || helpers_ + 1 >= threads) return false;
  const uint64_t left = rows_ - next_;
  if (left <= kTogether * (helpers_ + 1)) return false;
  const absl::Duration work =
      cost_.Of(budget_.shape(), budget_.settings()) * left;
  if (work < kWorthHelping * (helpers_ + 2)) return false;
  ++helpers_;
  return true;
}

void Pieces::Leave() {
  const std::lock_guard<std::mutex> lock(mutex_);
  --helpers_;
}

bool Pieces::DoNext() {
  const std::optional<Piece> piece = Take();
  if (!piece) return false;
  const absl::Time start = absl::Now();
  const absl::Status status = work_(*piece);
  Give(*piece, status, absl::Now() - start);
  return true;
}

std::optional<Piece> Pieces::Take() {
  const absl::Time now = absl::Now();
  const std::lock_guard<std::mutex> lock(mutex_);
  if (next_ == rows_ || !status_.ok()) return std::nullopt;
  const uint64_t left = rows_ - next_;
  const uint64_t threads = helpers_ + 1;
  const uint64_t share = (left + threads - 1) / threads;
  const uint64_t even = (share + kTogether - 1) / kTogether * kTogether;
  Piece piece{.first = next_,
              .rows = std::min({size_.rows(), even, left}),
              .settings = budget_.Next(share, cost_, now)};
  next_ += piece.rows;
  ++in_work_;
  return piece;
}

void Pieces::Give(const Piece& piece, const absl::Status& status,
                  absl::Duration took) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (status_.ok()) status_ = status;
  spent_ += took;
  size_.Adapt(took);
  if (piece.settings) {
    cost_.Learn(budget_.shape(), *piece.settings, piece.rows, took);
  } else {
    cost_.Relax();
  }
  if (--in_work_ == 0) idle_.notify_one();
}

void Pieces::Stop(const absl::Status& status) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (status_.ok()) status_ = status;
}

absl::Status Pieces::Finish() {
  std::unique_lock<std::mutex> lock(mutex_);
  idle_.wait(lock, [this] { return in_work_ == 0; });
  return status_;
}

}  // namespace timbre
