#include "server/service/live/pieces.h"

#include <algorithm>

#include "server/base/monotonic_clock.h"

namespace timbre {
namespace {

constexpr absl::Duration kPieceTime = absl::Microseconds(500);
// Waking a helper takes up to 100 us on a virtual machine whose CPU sleeps:
// each thread shall have this much to do.
constexpr absl::Duration kWorthHelping = absl::Microseconds(150);
// The engine works on four frames at a time.
constexpr uint64_t kTogether = 4;
constexpr uint64_t kMaxPieceRows = 64;

constexpr uint64_t RoundedUp(uint64_t rows) {
  return (rows + kTogether - 1) / kTogether * kTogether;
}

}  // namespace

void Pieces::Recruit(ThreadPool& pool) {
  while (WantsHelper(pool.threads())) {
    const bool comes =
        pool.SubmitIfIdle([this, keep = shared_from_this(), &pool] {
          while (!pool.TasksWait() && DoNext()) {
          }
          Leave();
        });
    if (!comes) return Leave();
  }
}

// Counts it where it does.
bool Pieces::WantsHelper(size_t threads) {
  const MutexLock lock(mutex_);
  if (!status_.ok() || helpers_ + 1 >= threads) return false;
  // Nothing to search any more.
  if (budget_.degradation() == v1::DEGRADATION_PASSED_THROUGH) return false;
  const uint64_t left = rows_ - next_;
  if (left <= kTogether * (helpers_ + 1)) return false;
  if (CostOf(left) < kWorthHelping * (helpers_ + 2)) return false;
  // An exact search of a large voice would hold all threads for long.
  if (CostOf(kTogether) > kPieceTime) return false;
  ++helpers_;
  return true;
}

void Pieces::Leave() {
  const MutexLock lock(mutex_);
  --helpers_;
}

bool Pieces::DoNext() {
  const std::optional<Piece> piece = Claim();
  if (!piece) return false;
  const absl::Time start = MonotonicNow();
  const absl::Status status = work_(*piece);
  Complete(*piece, status, MonotonicNow() - start);
  return true;
}

std::optional<Piece> Pieces::Claim() {
  const absl::Time now = MonotonicNow();
  const MutexLock lock(mutex_);
  if (next_ == rows_ || !status_.ok()) return std::nullopt;
  const uint64_t left = rows_ - next_;
  const auto share_of = [left](uint64_t threads) {
    return (left + threads - 1) / threads;
  };
  Piece piece{.first = next_};
  // Those that work now, and this one: others may come late, or not at all.
  piece.settings = budget_.Next(share_of(in_work_ + 1), cost_, now);
  const auto in_time = static_cast<uint64_t>(std::min<double>(
      kMaxPieceRows, absl::FDivDuration(kPieceTime, CostOf(1))));
  const uint64_t most = std::min(share_of(helpers_ + 1), in_time);
  piece.rows =
      std::min(left, std::clamp(RoundedUp(most), kTogether, kMaxPieceRows));
  next_ += piece.rows;
  ++in_work_;
  return piece;
}

void Pieces::Complete(const Piece& piece, const absl::Status& status,
                      absl::Duration took) {
  const MutexLock lock(mutex_);
  if (status_.ok()) status_ = status;
  spent_ += took;
  if (piece.settings) {
    cost_.Learn(budget_.shape(), *piece.settings, piece.rows, took);
  } else {
    cost_.Relax();
  }
  if (--in_work_ == 0) idle_.notify_one();
}

void Pieces::Stop(const absl::Status& status) {
  const MutexLock lock(mutex_);
  if (status_.ok()) status_ = status;
}

absl::Status Pieces::Finish() {
  MutexLock lock(mutex_);
  while (in_work_ > 0) lock.Wait(idle_);
  spent_until_finish_ = spent_;
  return status_;
}

}  // namespace timbre
