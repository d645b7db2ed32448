#include "server/engine/lists/coarse_quantizer.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace timbre {
namespace {

// Scores are spread over this many of the 65,536 values of 16 bits; the rest
// is room at both ends for what rounding adds.
constexpr double kScoreRange = 65000;
constexpr float kScoreRoom = 256;

// Of a score, for truncation to integers.
constexpr double kTruncation = 2;

// Of sums of floats, relative to what is added.
constexpr double kRounding = 0x1p-20;

// Lists are compared exactly in rounds. After each it is known up to which
// score others may still be nearer. The next round compares all of these where
// they are at most twice as many as the last one's and this number, else so
// many with the smallest scores.
constexpr size_t kFewMore = 16;

std::vector<float> MeanOf(std::span<const float> vectors, size_t n) {
  std::vector<double> sum(n);
  for (size_t i = 0; i < vectors.size(); i += n) {
    for (size_t j = 0; j < n; ++j) sum[j] += vectors[i + j];
  }
  std::vector<float> mean;
  mean.reserve(n);
  const double count = static_cast<double>(vectors.size()) / n;
  for (const double x : sum) mean.push_back(static_cast<float>(x / count));
  return mean;
}

size_t PaddedDimension(size_t dimension) {
  return QuantizedVectors(0, dimension).padded_dimension();
}

}  // namespace

// Empty lists are never visited: where all frames are alike, dozens of them may
// be as near as the full one.
CoarseQuantizer::CoarseQuantizer(const IvfParts& parts, Metric metric,
                                 const KernelTable& kernels,
                                 std::pmr::memory_resource* memory)
    : CoarseQuantizer(
          parts.centroids, parts.dimension,
          [&parts](uint32_t list) { return !parts.List(list).empty(); }, metric,
          kernels, Project::kIfItPays, memory) {}

CoarseQuantizer::CoarseQuantizer(std::span<const float> centroids,
                                 uint32_t dimension, Metric metric,
                                 const KernelTable& kernels, Project project)
    : CoarseQuantizer(
          centroids, dimension, [](uint32_t) { return true; }, metric, kernels,
          project, nullptr) {}

CoarseQuantizer::CoarseQuantizer(std::span<const float> centroids,
                                 uint32_t dimension,
                                 absl::FunctionRef<bool(uint32_t list)> visited,
                                 Metric metric, const KernelTable& kernels,
                                 Project project,
                                 std::pmr::memory_resource* memory)
    : centroids_(centroids),
      dimension_(dimension),
      kernels_(kernels),
      metric_(metric),
      padded_dimension_(PaddedDimension(dimension)),
      center_(MeanOf(centroids, dimension)),
      vectors_(0, 0) {
  const std::vector<float> centered = CenteredCentroids();
  std::optional<Projected> projected;
  if (project == Project::kIfItPays) {
    projected = SubspaceProjection::Find(centered, dimension, kernels, memory);
  }
  if (projected) projection_ = std::move(projected->projection);
  const std::vector<float>& points = projected ? projected->vectors : centered;
  const size_t n = coordinates();
  origin_.resize(n);
  const size_t lists = centroids.size() / dimension;
  vectors_ = QuantizedVectors(lists, n, memory);
  for (uint32_t list = 0; list < lists; ++list) {
    if (!visited(list)) continue;
    vectors_.Set(list, &points[list * n], origin_.data(),
                 BiasOf(&centered[size_t{list} * dimension]), kernels);
  }
}

std::vector<float> CoarseQuantizer::CenteredCentroids() const {
  std::vector<float> centered(centroids_.begin(), centroids_.end());
  const size_t n = dimension_;
  for (size_t i = 0; i < centered.size(); i += n) {
    for (size_t j = 0; j < n; ++j) centered[i + j] -= center_[j];
  }
  return centered;
}

// With q' = q - center and c' = c - center, and up to what is the same for all
// lists: |q - c|^2 / 2 = |c'|^2 / 2 - <q', c'>, and
// -<q, c> = -<center, c'> - <q', c'>.
float CoarseQuantizer::BiasOf(const float* centered) const {
  const float* const other = metric_ == Metric::kL2 ? centered : center_.data();
  const float product = kernels_.dot(other, centered, dimension_);
  return metric_ == Metric::kL2 ? 0.5F * product : -product;
}

// Each number of q' and c' is off by up to half a step. Taken as independent of
// each other and of what they are multiplied with, as for features they are,
// its error has the variance step^2 / 12; that of <q', c'> is
// (step_q^2 |c'|^2 + step_c^2 |q'|^2) / 12.
CoarseQuantizer::Scoring CoarseQuantizer::ScoringOf(const QuantizedFrame& frame,
                                                    double error) const {
  const float reach = std::sqrt(frame.squared_norm) * vectors_.largest_norm();
  const float low = vectors_.least_bias() - reach;
  const float range = vectors_.most_bias() + reach - low;
  const float scale =
      range > kTiny ? static_cast<float>(kScoreRange) / range : 1;
  // In double: fourth powers of what frames hold are outside of float's range.
  const double norm = vectors_.largest_norm();
  const double step = vectors_.largest_step();
  const double variance =
      (error * norm * norm + step * step * frame.squared_norm) / 12;
  return {.query = {.sum = frame.sum,
                    .scale = scale,
                    .offset = kScoreRoom - low * scale,
                    .step = frame.step * scale},
          .deviation = std::sqrt(variance) * scale};
}

void CoarseQuantizer::Relate(const float* frame,
                             const QuantizedFrame& quantized,
                             Scoring& scoring) const {
  const double scale = scoring.query.scale;
  const bool l2 = metric_ == Metric::kL2;
  const double shift =
      l2 ? -0.5 * quantized.squared_norm
         : double{kernels_.dot(frame, center_.data(), dimension_)};
  scoring.exact_scale = l2 ? 0.5 * scale : scale;
  scoring.exact_offset = shift * scale + scoring.query.offset;
}

void CoarseQuantizer::Prepare(const float* const* frames, size_t count,
                              CoarseScratch& scratch,
                              Scorings& scorings) const {
  std::array<QuantizedFrame, kFramesPerTile> quantized;
  scratch.frames.resize(kFramesPerTile * padded_dimension_);
  for (size_t i = 0; i < count; ++i) {
    int8_t* const values = scratch.frames.data() + i * padded_dimension_;
    quantized[i] = kernels_.quantize(frames[i], center_.data(), dimension_,
                                     padded_dimension_, values);
    if (projection_) continue;
    scorings[i] = ScoringOf(quantized[i], ErrorOf(quantized[i], dimension_));
    scorings[i].query.frame = values;
  }
  if (projection_) PrepareProjected(quantized.data(), count, scratch, scorings);
  for (size_t i = 0; i < count; ++i) {
    Relate(frames[i], quantized[i], scorings[i]);
  }
}

void CoarseQuantizer::PrepareProjected(const QuantizedFrame* frames,
                                       size_t count, CoarseScratch& scratch,
                                       Scorings& scorings) const {
  const size_t n = projection_->size();
  scratch.coordinates.resize(kFramesPerTile * n);
  scratch.projected.resize(kFramesPerTile * n);
  projection_->Project(frames, scratch.frames.data(), count,
                       scratch.coordinates.data());
  for (size_t i = 0; i < count; ++i) {
    int8_t* const values = scratch.projected.data() + i * n;
    const QuantizedFrame projected = kernels_.quantize(
        scratch.coordinates.data() + i * n, origin_.data(), n, n, values);
    scorings[i] = ScoringOf(
        projected, projection_->ErrorOf(frames[i]) + ErrorOf(projected, n));
    scorings[i].query.frame = values;
  }
}

void CoarseQuantizer::Probe(const float* const* frames, size_t count,
                            uint32_t nprobe, PrefetchQueue& prefetch,
                            CoarseScratch& scratch,
                            std::vector<uint32_t>* lists) const {
  const size_t padded_lists = vectors_.padded_count();
  const size_t room = std::max(padded_lists, kMaxSurvivors);
  scratch.scores.resize(kFramesPerTile * padded_lists);
  scratch.positions.resize(kFramesPerTile * room);
  Scorings scorings;
  Prepare(frames, count, scratch, scorings);
  std::array<ListQuery, kFramesPerTile> queries;
  for (size_t i = 0; i < count; ++i) {
    scorings[i].query.scores = scratch.scores.data() + i * padded_lists;
    queries[i] = scorings[i].query;
  }
  kernels_.score_lists(vectors_.view(), queries.data(), count, prefetch);
  std::array<Selection, kFramesPerTile> near;
  for (size_t i = 0; i < count; ++i) {
    uint32_t* const positions = scratch.positions.data() + i * room;
    near[i] = SelectSmallest(kernels_, queries[i].scores, padded_lists, nprobe,
                             positions);
    PrefetchCentroid(positions[0]);  // often the only one
  }
  for (size_t i = 0; i < count; ++i) {
    Choose(frames[i], scorings[i], nprobe, near[i],
           scratch.positions.data() + i * room, scratch.nearest, lists[i]);
  }
}

void CoarseQuantizer::Choose(const float* frame, const Scoring& scoring,
                             uint32_t nprobe, Selection near,
                             uint32_t* positions, TopK& nearest,
                             std::vector<uint32_t>& lists) const {
  const uint16_t* const scores = scoring.query.scores;
  const size_t n = vectors_.padded_count();
  nearest.Reset(nprobe);
  int compared = -1;  // the largest score of lists that were
  while (true) {
    PushExact(frame, scoring, compared, {positions, near.count}, nearest);
    compared = near.kth;
    // No list with a score above that can be among the nearest.
    const uint16_t limit =
        nearest.full() ? LimitOf(scoring, ScoreOf(nearest.Farthest())) : 65535;
    if (limit <= compared) break;
    const size_t most = std::min(n, 2 * near.count + kFewMore);
    const size_t within = kernels_.collect(scores, n, limit, most, positions);
    if (within < most || most == n) {
      near = {.kth = limit, .count = within};
    } else {
      near = SelectSmallest(kernels_, scores, n, most, positions);
    }
  }
  lists.clear();
  for (const ScoredId key : nearest.Finish()) lists.push_back(IdOf(key));
}

uint16_t CoarseQuantizer::LimitOf(const Scoring& scoring, float exact) {
  const double distance = scoring.exact_scale * exact;
  const double shift = scoring.exact_offset - scoring.query.offset;
  const double margin = kDeviations * scoring.deviation + kTruncation +
                        kRounding * (std::fabs(distance) + std::fabs(shift));
  const double limit = scoring.exact_offset + distance + margin;
  // Whatever is no number in between is no limit.
  if (!(limit < 65535)) return 65535;
  return static_cast<uint16_t>(std::max(limit, 0.0));
}

void CoarseQuantizer::PushExact(const float* frame, const Scoring& scoring,
                                int above, std::span<const uint32_t> lists,
                                TopK& nearest) const {
  for (const uint32_t list : lists) {
    if (scoring.query.scores[list] <= above) continue;
    if (!vectors_.has(list)) continue;
    nearest.Push(MakeScoredId(Score(frame, list), list));
  }
}

void CoarseQuantizer::PrefetchCentroid(uint32_t list) const {
  const auto* const first =
      reinterpret_cast<const char*>(&centroids_[size_t{list} * dimension_]);
  for (size_t i = 0; i < dimension_ * sizeof(float); i += kCacheLineBytes) {
    __builtin_prefetch(first + i);
  }
}

float CoarseQuantizer::Score(const float* frame, uint32_t list) const {
  const size_t n = dimension_;
  const float* const centroid = &centroids_[size_t{list} * n];
  return metric_ == Metric::kL2 ? kernels_.squared_l2(frame, centroid, n)
                                : -kernels_.dot(frame, centroid, n);
}

size_t CoarseQuantizer::resident_bytes() const {
  return vectors_.resident_bytes() +
         (projection_ ? projection_->resident_bytes() : 0) +
         (center_.capacity() + origin_.capacity()) * sizeof(float);
}

size_t CoarseQuantizer::MostResidentBytes(size_t lists, uint32_t dimension) {
  size_t vectors = QuantizedVectors::ResidentBytes(lists, dimension);
  if (const size_t n = SubspaceProjection::MostCoordinates(lists, dimension)) {
    vectors = std::max(vectors,
                       QuantizedVectors::ResidentBytes(lists, n) +
                           QuantizedVectors::ResidentBytes(n - 1, dimension));
  }
  return vectors + 2 * dimension * sizeof(float);
}

}  // namespace timbre
