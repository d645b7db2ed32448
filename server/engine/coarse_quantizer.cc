#include "server/engine/coarse_quantizer.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "server/engine/select.h"

namespace timbre {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Scores are spread over this many of the 65,536 values of 16 bits; the rest
// is room at both ends for what rounding adds.
constexpr double kScoreRange = 65000;
constexpr float kScoreRoom = 256;

// Standard deviations of the difference of two scores that are allowed for.
// Normally distributed, one in 10^8 such differences is larger.
constexpr double kDeviations = 5.7;

}  // namespace

CoarseQuantizer::CoarseQuantizer(const IvfParts& parts, Metric metric,
                                 const KernelTable& kernels)
    : parts_(parts),
      kernels_(kernels),
      blocks_((parts.nlist + kCentroidsPerBlock - 1) / kCentroidsPerBlock),
      groups_((parts.dimension + kDimensionsPerGroup - 1) /
              kDimensionsPerGroup),
      metric_(metric),
      center_(parts.dimension),
      values_(blocks_ * groups_ * kCentroidsPerBlock * kDimensionsPerGroup,
              128),
      steps_(padded_lists(), 0.0F),
      biases_(padded_lists(), kInfinity),
      least_bias_(kInfinity),
      most_bias_(-kInfinity) {
  std::vector<double> sum(parts.dimension);
  for (size_t i = 0; i < parts.centroids.size(); ++i) {
    sum[i % parts.dimension] += parts.centroids[i];
  }
  for (size_t j = 0; j < sum.size(); ++j) {
    center_[j] = static_cast<float>(sum[j] / parts.nlist);
  }
  for (uint32_t list = 0; list < parts.nlist; ++list) {
    // Never visited: where all frames are alike, dozens of empty lists may be
    // as near as the full one.
    if (!parts.List(list).empty()) AddCentroid(list);
  }
}

void CoarseQuantizer::AddCentroid(uint32_t list) {
  const size_t n = parts_.dimension;
  const float* const centroid = &parts_.centroids[size_t{list} * n];
  std::vector<int8_t> quantized(padded_dimension());
  const QuantizedFrame frame = kernels_.quantize(
      centroid, center_.data(), n, quantized.size(), quantized.data());
  const size_t block = list / kCentroidsPerBlock;
  const size_t column = list % kCentroidsPerBlock;
  for (size_t i = 0; i < quantized.size(); ++i) {
    const size_t group = block * groups_ + i / kDimensionsPerGroup;
    values_[(group * kCentroidsPerBlock + column) * kDimensionsPerGroup +
            i % kDimensionsPerGroup] = static_cast<uint8_t>(quantized[i] + 128);
  }
  steps_[list] = frame.step;
  // With q' = q - center and c' = c - center, and up to what is the same for
  // all lists: |q - c|^2 / 2 = |c'|^2 / 2 - <q', c'>, and
  // -<q, c> = -<center, c'> - <q', c'>.
  if (metric_ == Metric::kL2) {
    biases_[list] = 0.5F * frame.squared_norm;
  } else {
    double bias = 0;
    for (size_t j = 0; j < n; ++j) {
      bias -= double{center_[j]} * (double{centroid[j]} - center_[j]);
    }
    biases_[list] = static_cast<float>(bias);
  }
  largest_step_ = std::max(largest_step_, frame.step);
  largest_norm_ = std::max(largest_norm_, std::sqrt(frame.squared_norm));
  least_bias_ = std::min(least_bias_, biases_[list]);
  most_bias_ = std::max(most_bias_, biases_[list]);
}

// Each number of q' and c' is off by up to half a step. Taken as independent of
// each other and of what they are multiplied with, as for features they are,
// its error has the variance step^2 / 12; that of <q', c'> is
// (step_q^2 |c'|^2 + step_c^2 |q'|^2) / 12, and that of a difference of two of
// them twice as much. Two units are for truncation to integers.
uint16_t CoarseQuantizer::MarginOf(const QuantizedFrame& frame,
                                   float scale) const {
  // In double: fourth powers of what frames hold are outside of float's range.
  const double from_frame = double{frame.step} * largest_norm_;
  const double squared_from_centroid =
      double{largest_step_} * largest_step_ * frame.squared_norm;
  const double deviation =
      std::sqrt((from_frame * from_frame + squared_from_centroid) / 6);
  return static_cast<uint16_t>(
      std::min(kScoreRange, kDeviations * deviation * scale + 2));
}

CoarseQuantizer::Scoring CoarseQuantizer::Prepare(const float* frame,
                                                  int8_t* quantized,
                                                  uint16_t* scores) const {
  const QuantizedFrame q = kernels_.quantize(
      frame, center_.data(), parts_.dimension, padded_dimension(), quantized);
  const float reach = std::sqrt(q.squared_norm) * largest_norm_;
  const float low = least_bias_ - reach;
  const float range = most_bias_ + reach - low;
  const float scale =
      range > kTiny ? static_cast<float>(kScoreRange) / range : 1;
  return {.query = {.frame = quantized,
                    .sum = q.sum,
                    .scale = scale,
                    .offset = kScoreRoom - low * scale,
                    .step = q.step * scale,
                    .scores = scores},
          .margin = MarginOf(q, scale)};
}

void CoarseQuantizer::Probe(const float* const* frames, size_t count,
                            uint32_t nprobe, PrefetchQueue& prefetch,
                            CoarseScratch& scratch,
                            std::vector<uint32_t>* lists) const {
  scratch.frames.resize(kFramesPerTile * padded_dimension());
  scratch.scores.resize(kFramesPerTile * padded_lists());
  scratch.positions.resize(std::max(padded_lists(), kMostSurvivors));
  std::array<Scoring, kFramesPerTile> scoring;
  std::array<ListQuery, kFramesPerTile> queries;
  for (size_t i = 0; i < count; ++i) {
    scoring[i] =
        Prepare(frames[i], scratch.frames.data() + i * padded_dimension(),
                scratch.scores.data() + i * padded_lists());
    queries[i] = scoring[i].query;
  }
  kernels_.score_lists(Blocks(), queries.data(), count, prefetch);
  for (size_t i = 0; i < count; ++i) {
    Choose(frames[i], scoring[i], nprobe, scratch, lists[i]);
  }
}

// What is more than a margin below the nprobe-th smallest score is in, what is
// more than a margin above it is out.
void CoarseQuantizer::Choose(const float* frame, const Scoring& scoring,
                             uint32_t nprobe, CoarseScratch& scratch,
                             std::vector<uint32_t>& lists) const {
  const uint16_t* const scores = scoring.query.scores;
  const Selection near =
      SelectSmallest(kernels_, scores, padded_lists(), nprobe, scoring.margin,
                     scratch.positions.data());
  lists.clear();
  scratch.borderline.clear();
  for (size_t i = 0; i < near.count; ++i) {
    const uint32_t list = scratch.positions[i];
    if (biases_[list] == kInfinity) continue;
    if (near.count <= nprobe || scores[list] + scoring.margin < near.kth) {
      lists.push_back(list);
    } else {
      scratch.borderline.push_back(list);
    }
  }
  const size_t wanted = nprobe - lists.size();
  if (scratch.borderline.size() > wanted) {
    for (ScoredId& key : scratch.borderline) {
      key = MakeScoredId(Score(frame, IdOf(key)), IdOf(key));
    }
    std::nth_element(
        scratch.borderline.begin(),
        scratch.borderline.begin() + static_cast<std::ptrdiff_t>(wanted - 1),
        scratch.borderline.end());
    scratch.borderline.resize(wanted);
  }
  for (const ScoredId key : scratch.borderline) lists.push_back(IdOf(key));
}

float CoarseQuantizer::Score(const float* frame, uint32_t list) const {
  const size_t n = parts_.dimension;
  const float* const centroid = &parts_.centroids[size_t{list} * n];
  return metric_ == Metric::kL2 ? kernels_.squared_l2(frame, centroid, n)
                                : -kernels_.dot(frame, centroid, n);
}

size_t CoarseQuantizer::resident_bytes() const {
  return values_.capacity() +
         (center_.capacity() + steps_.capacity() + biases_.capacity()) *
             sizeof(float);
}

}  // namespace timbre
