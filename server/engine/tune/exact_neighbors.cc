#include "server/engine/tune/exact_neighbors.h"

#include <algorithm>
#include <array>
#include <cfloat>

#include "server/base/status_macros.h"
#include "server/base/thread_priority.h"
#include "server/base/thread_time.h"

namespace timbre {
namespace {

// Enough for their preparation to be shared by many frames, and few enough for
// a second-level cache in int8.
constexpr size_t kRowsAtOnce = 2048;

// What one thread works with.
struct Worker {
  std::vector<float> rows;  // [kRowsAtOnce, dimension], unit for kCosine
  std::vector<float> buffer;
  CoarseScratch coarse;
  std::vector<TopK> nearest;  // of every frame, among the rows seen so far
  std::vector<float> scores;
  std::vector<uint32_t> ids;
  double seconds = 0;
};

class ExactSearch {
 public:
  ExactSearch(const SpeakerIndex& index, std::span<const float> frames,
              uint32_t k)
      : index_(index),
        n_(index.dimension()),
        count_(frames.size() / n_),
        k_(k),
        frames_(frames) {
    if (index.metric() != Metric::kCosine) return;
    unit_.resize(frames.size());
    for (size_t i = 0; i < frames.size(); i += n_) {
      Normalize(&frames[i], n_, index.kernels(), &unit_[i]);
    }
    frames_ = unit_;
  }

  absl::StatusOr<NeighborTable> Run(BuildTeam& team) {
    workers_.resize(team.threads());
    TIMBRE_RETURN_IF_ERROR(
        team.ForRanges(index_.rows(), kRowsAtOnce,
                       [this](size_t first, size_t count, size_t worker) {
                         VisitRows(first, count, workers_[worker]);
                       }));
    TIMBRE_RETURN_IF_ERROR(index_.store().Check());
    return Merge();
  }

 private:
  void LoadRows(uint64_t first, size_t count, Worker& worker) const {
    worker.rows.resize(count * n_);
    worker.buffer.resize(2 * n_);
    for (size_t i = 0; i < count; ++i) {
      const float* const row =
          index_.store().Row(first + i, worker.buffer.data());
      float* const out = &worker.rows[i * n_];
      if (index_.metric() == Metric::kCosine) {
        Normalize(row, n_, index_.kernels(), out);
      } else {
        std::copy_n(row, n_, out);
      }
    }
  }

  void VisitRows(uint64_t first, size_t count, Worker& worker) {
    if (worker.nearest.empty()) {
      worker.nearest.resize(count_);
      for (TopK& nearest : worker.nearest) nearest.Reset(k_);
    }
    LoadRows(first, count, worker);
    const CoarseQuantizer rows(worker.rows, static_cast<uint32_t>(n_),
                               index_.metric(), index_.kernels(),
                               CoarseQuantizer::Project::kNever);
    const double start = ThreadSeconds();
    std::array<const float*, kFramesPerTile> tile;
    std::array<std::vector<uint32_t>, kFramesPerTile> found;
    PrefetchQueue none;
    for (size_t i = 0; i < count_; i += kFramesPerTile) {
      GiveWay();
      const size_t frames = std::min(kFramesPerTile, count_ - i);
      for (size_t j = 0; j < frames; ++j) tile[j] = &frames_[(i + j) * n_];
      rows.Probe(tile.data(), frames,
                 std::min(k_, static_cast<uint32_t>(count)), none,
                 worker.coarse, found.data());
      for (size_t j = 0; j < frames; ++j) {
        Push(tile[j], first, found[j], worker, worker.nearest[i + j]);
      }
    }
    worker.seconds += ThreadSeconds() - start;
  }

  // With the distances that searches give, to the last bit.
  void Push(const float* frame, uint64_t first,
            const std::vector<uint32_t>& found, Worker& worker,
            TopK& nearest) const {
    worker.ids.clear();
    for (const uint32_t i : found) {
      worker.ids.push_back(static_cast<uint32_t>(first + i));
    }
    worker.scores.resize(found.size());
    PrefetchQueue none;
    index_.scorer().Score(frame, worker.ids.data(), worker.ids.size(), none,
                          worker.buffer.data(), worker.scores.data());
    for (size_t i = 0; i < found.size(); ++i) {
      nearest.Push(MakeScoredId(worker.scores[i], worker.ids[i]));
    }
  }

  NeighborTable Merge() {
    const bool l2 = index_.metric() == Metric::kL2;
    NeighborTable table;
    table.k = k_;
    table.ids.assign(count_ * k_, -1);
    table.distances.assign(count_ * k_, l2 ? FLT_MAX : -FLT_MAX);
    for (const Worker& worker : workers_) table.seconds += worker.seconds;
    TopK all;
    for (size_t i = 0; i < count_; ++i) {
      all.Reset(k_);
      for (Worker& worker : workers_) {
        if (worker.nearest.empty()) continue;
        for (const ScoredId key : worker.nearest[i].Finish()) all.Push(key);
      }
      size_t place = i * k_;
      for (const ScoredId key : all.Finish()) {
        table.ids[place] = IdOf(key);
        table.distances[place++] = l2 ? ScoreOf(key) : -ScoreOf(key);
      }
    }
    return table;
  }

  const SpeakerIndex& index_;
  const size_t n_;
  const size_t count_;
  const uint32_t k_;
  std::span<const float> frames_;  // unit for kCosine
  std::vector<float> unit_;
  std::vector<Worker> workers_;
};

}  // namespace

absl::StatusOr<NeighborTable> ExactNeighbors(const SpeakerIndex& index,
                                             std::span<const float> frames,
                                             uint32_t k, BuildTeam& team) {
  return ExactSearch(index, frames, k).Run(team);
}

}  // namespace timbre
