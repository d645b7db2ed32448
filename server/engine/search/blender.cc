#include "server/engine/search/blender.h"

#include <algorithm>
#include <cmath>

namespace timbre {
namespace {

// Cosine indices compare normalised frames, whose distances are of rounded
// numbers: below this they count as equal (the contract).
constexpr double kCosineZero = 1e-6;

// One frame and its neighbours: those that were found, in front.
struct Neighbors {
  size_t found = 0;
  const int64_t* ids = nullptr;
  const float* distances = nullptr;

  uint64_t Id(size_t i) const { return static_cast<uint64_t>(ids[i]); }
};

// The squared L2 distances that the inverse-square rule wants, from whatever
// the index returned.
void ToSquaredL2(const SpeakerIndex& index, const float* frame,
                 const Neighbors& neighbors, BlendScratch& scratch) {
  const size_t n = index.dimension();
  switch (index.metric()) {
    case Metric::kL2:
      std::copy_n(neighbors.distances, neighbors.found,
                  scratch.weights.begin());
      return;
    case Metric::kInnerProduct:
      for (size_t i = 0; i < neighbors.found; ++i) {
        scratch.weights[i] = index.store().SquaredL2(frame, neighbors.Id(i));
      }
      return;
    case Metric::kCosine:
      break;
  }
  Normalize(frame, n, index.kernels(), scratch.unit.data());
  for (size_t i = 0; i < neighbors.found; ++i) {
    const float* const row =
        index.store().Row(neighbors.Id(i), scratch.row.data());
    Normalize(row, n, index.kernels(), scratch.mix.data());
    const double d =
        index.kernels().squared_l2(scratch.unit.data(), scratch.mix.data(), n);
    scratch.weights[i] = d < kCosineZero ? 0 : d;
  }
}

void InverseSquareWeights(size_t found, std::vector<double>& weights) {
  const double nearest = *std::min_element(
      weights.begin(), weights.begin() + static_cast<std::ptrdiff_t>(found));
  for (size_t i = 0; i < found; ++i) {
    const double ratio =
        weights[i] > 0 ? nearest / weights[i] : 1;  // 1 / 0: shares it all
    weights[i] = ratio * ratio;
  }
}

void CosinePowerWeights(const SpeakerIndex& index, const float* frame,
                        const Neighbors& neighbors, float alpha,
                        BlendScratch& scratch) {
  const size_t n = index.dimension();
  Normalize(frame, n, index.kernels(), scratch.unit.data());
  for (size_t i = 0; i < neighbors.found; ++i) {
    const float* const row =
        index.store().Row(neighbors.Id(i), scratch.row.data());
    Normalize(row, n, index.kernels(), scratch.mix.data());
    const double cosine =
        index.kernels().dot(scratch.unit.data(), scratch.mix.data(), n);
    scratch.weights[i] = std::max(0.0, cosine);
  }
  // Relative to the largest, so that no power underflows to nothing.
  const double largest = *std::max_element(
      scratch.weights.begin(),
      scratch.weights.begin() + static_cast<std::ptrdiff_t>(neighbors.found));
  if (largest <= 0) return;
  for (size_t i = 0; i < neighbors.found; ++i) {
    scratch.weights[i] = std::pow(scratch.weights[i] / largest, double{alpha});
  }
}

// The unnormalised weights of the neighbours; returns their sum.
double FillWeights(const SpeakerIndex& index, const float* frame,
                   const Neighbors& neighbors, const BlendSettings& settings,
                   BlendScratch& scratch) {
  switch (settings.weighting) {
    case Weighting::kInverseSquareDistance:
      ToSquaredL2(index, frame, neighbors, scratch);
      InverseSquareWeights(neighbors.found, scratch.weights);
      break;
    case Weighting::kUniform:
      std::fill_n(scratch.weights.begin(), neighbors.found, 1.0);
      break;
    case Weighting::kCosinePower:
      CosinePowerWeights(index, frame, neighbors, settings.alpha, scratch);
      break;
  }
  double sum = 0;
  for (size_t i = 0; i < neighbors.found; ++i) sum += scratch.weights[i];
  return sum;
}

// out = rate * mix + (1 - rate) * frame; adds the frame's shift to `totals`.
void MixFrame(const SpeakerIndex& index, const float* frame,
              const Neighbors& neighbors, double weight_sum, float rate,
              BlendScratch& scratch, float* out, BlendTotals& totals) {
  size_t count = 0;
  for (size_t i = 0; i < neighbors.found; ++i) {
    const auto weight = static_cast<float>(scratch.weights[i] / weight_sum);
    if (weight == 0) continue;
    scratch.shares[count] = weight;
    scratch.rows[count++] = index.store().RawRow(neighbors.Id(i));
  }
  const MixNorms norms = index.store().Mix(
      frame, {scratch.rows.data(), scratch.shares.data(), count}, rate, out);
  if (norms.squared_norm > 0) {
    totals.shift +=
        std::sqrt(double{norms.squared_shift} / double{norms.squared_norm});
    ++totals.frames_with_norm;
  }
}

void KeepFrame(const float* frame, size_t n, float* out, BlendTotals& totals) {
  bool has_norm = false;
  for (size_t j = 0; j < n; ++j) {
    has_norm = has_norm || frame[j] != 0;
    out[j] = frame[j];
  }
  if (has_norm) ++totals.frames_with_norm;
}

Neighbors NeighborsOf(const NeighborBatch& batch, size_t frame) {
  const int64_t* const ids = batch.ids + frame * batch.k;
  return {.found = static_cast<size_t>(
              std::find(ids, ids + batch.k, int64_t{-1}) - ids),
          .ids = ids,
          .distances = batch.distances + frame * batch.k};
}

}  // namespace

void Blend(const SpeakerIndex& index, const float* frames, size_t rows,
           const NeighborBatch& neighbors, const float* rates,
           const BlendSettings& settings, BlendScratch& scratch, float* out,
           BlendTotals& totals) {
  const size_t n = index.dimension();
  scratch.weights.resize(neighbors.k);
  scratch.shares.resize(neighbors.k);
  scratch.rows.resize(neighbors.k);
  scratch.mix.resize(n);
  scratch.row.resize(n);
  scratch.unit.resize(n);
  for (size_t i = 0; i < rows; ++i, frames += n, out += n) {
    const Neighbors near = NeighborsOf(neighbors, i);
    if (near.found > 0) {
      totals.nearest_distance += near.distances[0];
      ++totals.frames_with_neighbor;
    }
    const double sum = near.found > 0
                           ? FillWeights(index, frames, near, settings, scratch)
                           : 0;
    if (!(sum > 0)) {
      KeepFrame(frames, n, out, totals);
      continue;
    }
    MixFrame(index, frames, near, sum, rates[i], scratch, out, totals);
  }
}

}  // namespace timbre
