#include "server/engine/train/kmeans.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <utility>

#include "server/base/status_macros.h"
#include "server/engine/frames/exact_scorer.h"

namespace timbre {
namespace {

constexpr size_t kRowsAtOnce = 256;      // of an item of work
constexpr size_t kCentroidsAtOnce = 16;  // the same

// Early iterations look at every stride-th frame only: where centroids go first
// depends little on the rest.
constexpr std::array<size_t, 4> kStrides = {8, 4, 2, 1};
constexpr int kFirstIterations = 10;  // at most, of the first stride
constexpr int kLaterIterations = 3;   // of each of the others
// A stride has to leave so many frames for each centroid.
constexpr size_t kMinRowsPerCentroid = 16;
constexpr size_t kMaxRowsPerCentroid = 256;
// An iteration that improves the sum of all distances by less is the last.
constexpr double kMinGain = 2e-3;

constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();

// What is known of a centroid's frames.
struct Cluster {
  double spread = 0;     // sum of scores
  uint32_t far = kNone;  // the frame with the largest score
};

class KMeans {
 public:
  KMeans(std::span<const float> rows, const KMeansPlan& plan,
         const KernelTable& kernels, BuildTeam& team)
      : rows_(rows),
        plan_(plan),
        kernels_(kernels),
        team_(team),
        scratch_(team.threads()),
        sums_(team.threads()) {}

  absl::StatusOr<std::vector<float>> Run() {
    const size_t all = rows_.size() / plan_.dimension;
    for (const size_t stride : kStrides) {
      const size_t count = all / stride;
      if (stride > 1 && count < plan_.k * kMinRowsPerCentroid) continue;
      stride_ = stride;
      const bool first = centroids_.empty();
      if (first) Start(count);
      TIMBRE_RETURN_IF_ERROR(
          Iterate(count, first ? kFirstIterations : kLaterIterations));
    }
    return std::move(centroids_);
  }

 private:
  const float* Row(size_t i) const {
    return rows_.data() + i * stride_ * plan_.dimension;
  }
  float* Centroid(size_t i) { return &centroids_[i * plan_.dimension]; }

  // Any `k` frames.
  void Start(size_t count) {
    std::mt19937_64 random(plan_.seed);
    std::vector<uint32_t> order(count);
    std::iota(order.begin(), order.end(), 0U);
    centroids_.resize(size_t{plan_.k} * plan_.dimension);
    for (size_t i = 0; i < plan_.k; ++i) {
      std::swap(order[i], order[i + random() % (count - i)]);
      std::copy_n(Row(order[i]), plan_.dimension, Centroid(i));
      Constrain(Centroid(i));
    }
  }

  // Centroids of inner products are directions.
  void Constrain(float* centroid) const {
    if (plan_.metric == Metric::kL2) return;
    Normalize(centroid, plan_.dimension, kernels_, centroid);
  }

  absl::Status Iterate(size_t count, int most) {
    double before = std::numeric_limits<double>::infinity();
    for (int i = 0; i < most; ++i) {
      TIMBRE_RETURN_IF_ERROR(Assign(count));
      const double now = std::accumulate(scores_.begin(), scores_.end(), 0.0);
      TIMBRE_RETURN_IF_ERROR(Update());
      const bool repaired = Repair();
      if (!repaired && before - now <= kMinGain * std::fabs(now)) break;
      before = now;
    }
    return absl::OkStatus();
  }

  absl::Status Assign(size_t count) {
    nearest_.resize(count);
    scores_.resize(count);
    const CoarseQuantizer quantizer(centroids_, plan_.dimension, plan_.metric,
                                    kernels_);
    return team_.ForRanges(
        count, kRowsAtOnce, [&](size_t first, size_t rows, size_t worker) {
          AssignRows(quantizer, Row(first), stride_ * plan_.dimension,
                     scratch_[worker], {&nearest_[first], rows});
          for (size_t i = first; i < first + rows; ++i) {
            scores_[i] = Score(Row(i), Centroid(nearest_[i]));
          }
        });
  }

  // How far a frame is from its centroid: at least 0. Of inner products what
  // its direction costs, |row| - <row, centroid>.
  float Score(const float* row, const float* centroid) const {
    const size_t n = plan_.dimension;
    if (plan_.metric == Metric::kL2) {
      return kernels_.squared_l2(row, centroid, n);
    }
    return std::sqrt(kernels_.dot(row, row, n)) -
           kernels_.dot(row, centroid, n);
  }

  // Centroids become the means of their frames, added in order.
  absl::Status Update() {
    GroupRows(nearest_, plan_.k, begin_, members_);
    clusters_.assign(plan_.k, {});
    return team_.ForRanges(plan_.k, kCentroidsAtOnce,
                           [&](size_t first, size_t count, size_t worker) {
                             for (size_t c = first; c < first + count; ++c) {
                               UpdateOne(c, sums_[worker]);
                             }
                           });
  }

  void UpdateOne(size_t c, std::vector<double>& sum) {
    const uint32_t count = begin_[c + 1] - begin_[c];
    if (count == 0) return;
    sum.assign(plan_.dimension, 0);
    Cluster& cluster = clusters_[c];
    cluster.far = members_[begin_[c]];
    for (uint32_t m = begin_[c]; m < begin_[c + 1]; ++m) {
      const uint32_t i = members_[m];
      const float* const row = Row(i);
      for (size_t j = 0; j < plan_.dimension; ++j) sum[j] += row[j];
      if (scores_[i] > scores_[cluster.far]) cluster.far = i;
      cluster.spread += scores_[i];
    }
    for (size_t j = 0; j < plan_.dimension; ++j) {
      Centroid(c)[j] = static_cast<float>(sum[j] / count);
    }
    Constrain(Centroid(c));
  }

  // Centroids without frames move to where frames are far from theirs, one to
  // each cluster. Whether any did.
  bool Repair() {
    std::vector<uint32_t> empty;
    std::vector<uint32_t> wide;
    for (uint32_t c = 0; c < plan_.k; ++c) {
      if (clusters_[c].far == kNone) empty.push_back(c);
      if (clusters_[c].spread > 0) wide.push_back(c);
    }
    if (empty.empty()) return false;
    std::stable_sort(wide.begin(), wide.end(), [this](uint32_t a, uint32_t b) {
      return clusters_[a].spread > clusters_[b].spread;
    });
    const size_t moved = std::min(empty.size(), wide.size());
    for (size_t i = 0; i < moved; ++i) {
      std::copy_n(Row(clusters_[wide[i]].far), plan_.dimension,
                  Centroid(empty[i]));
      Constrain(Centroid(empty[i]));
    }
    return moved > 0;
  }

  const std::span<const float> rows_;
  const KMeansPlan& plan_;
  const KernelTable& kernels_;
  BuildTeam& team_;
  size_t stride_ = 1;
  std::vector<float> centroids_;     // [k, dimension]
  std::vector<uint32_t> nearest_;    // of every frame that is looked at
  std::vector<float> scores_;        // its score; smaller is nearer
  AlignedVector<uint32_t> begin_;    // [k + 1], in members_
  AlignedVector<uint32_t> members_;  // frames by centroid, in order
  std::vector<Cluster> clusters_;
  std::vector<CoarseScratch> scratch_;     // one a thread
  std::vector<std::vector<double>> sums_;  // the same
};

}  // namespace

uint64_t KMeansRows(uint64_t k) { return k * kMaxRowsPerCentroid; }

absl::StatusOr<std::vector<float>> TrainKMeans(std::span<const float> rows,
                                               const KMeansPlan& plan,
                                               const KernelTable& kernels,
                                               BuildTeam& team) {
  return KMeans(rows, plan, kernels, team).Run();
}

void AssignRows(const CoarseQuantizer& centroids, const float* rows,
                size_t stride, CoarseScratch& scratch,
                std::span<uint32_t> nearest) {
  std::array<const float*, kFramesPerTile> tile;
  std::array<std::vector<uint32_t>, kFramesPerTile> lists;
  PrefetchQueue none;
  for (size_t i = 0; i < nearest.size(); i += kFramesPerTile) {
    const size_t n = std::min(kFramesPerTile, nearest.size() - i);
    for (size_t j = 0; j < n; ++j) tile[j] = rows + (i + j) * stride;
    centroids.Probe(tile.data(), n, 1, none, scratch, lists.data());
    for (size_t j = 0; j < n; ++j) nearest[i + j] = lists[j].front();
  }
}

void GroupRows(std::span<const uint32_t> groups, uint32_t count,
               AlignedVector<uint32_t>& begin, AlignedVector<uint32_t>& rows) {
  begin.assign(size_t{count} + 1, 0);
  for (const uint32_t group : groups) ++begin[group + 1];
  std::partial_sum(begin.begin(), begin.end(), begin.begin());
  rows.resize(groups.size());
  std::vector<uint32_t> next(begin.begin(), begin.end() - 1);
  for (size_t row = 0; row < groups.size(); ++row) {
    rows[next[groups[row]]++] = static_cast<uint32_t>(row);
  }
}

}  // namespace timbre
