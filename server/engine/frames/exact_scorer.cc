#include "server/engine/frames/exact_scorer.h"

#include <algorithm>
#include <cmath>

namespace timbre {

void Normalize(const float* frame, size_t n, const KernelTable& kernels,
               float* out) {
  const float norm = std::sqrt(kernels.dot(frame, frame, n));
  const float scale = 1.0F / std::max(kNormEpsilon, norm);
  for (size_t i = 0; i < n; ++i) out[i] = frame[i] * scale;
}

void ExactScorer::Score(const float* query, const uint32_t* ids, size_t count,
                        PrefetchQueue& prefetch, float* row,
                        float* scores) const {
  const size_t n = store_.dimension();
  const bool l2 = metric_ == Metric::kL2;
  const auto float_score = l2 ? kernels_.squared_l2 : kernels_.dot;
  const auto half_score = l2 ? kernels_.squared_l2_half : kernels_.dot_half;
  const float sign = l2 ? 1.0F : -1.0F;
  const bool half = store_.element_type() == ElementType::kFloat16;
  for (size_t i = 0; i < count; ++i) {
    prefetch.IssueRow();
    if (metric_ == Metric::kCosine) {
      scores[i] = ScoreCosine(query, ids[i], row);
      continue;
    }
    if (rounds_) {
      scores[i] = ScoreRounded(query, ids[i], row);
      continue;
    }
    const char* const raw = store_.RawRow(ids[i]);
    scores[i] =
        sign *
        (half ? half_score(query, reinterpret_cast<const uint16_t*>(raw), n)
              : float_score(query, reinterpret_cast<const float*>(raw), n));
  }
}

float ExactScorer::ScoreCosine(const float* query, uint32_t id,
                               float* row) const {
  const size_t n = store_.dimension();
  if (!rounds_) {
    const float* const frame = store_.Row(id, row);
    const float norm = std::sqrt(kernels_.dot(frame, frame, n));
    return -kernels_.dot(query, frame, n) / std::max(kNormEpsilon, norm);
  }
  float* const unit = row + n;
  Normalize(store_.Row(id, row), n, kernels_, unit);
  // What is rounded is what the index holds: the normalised frame.
  auto* const halves = reinterpret_cast<uint16_t*>(row);
  kernels_.float_to_half(unit, n, halves);
  return -kernels_.dot_half(query, halves, n);
}

float ExactScorer::ScoreRounded(const float* query, uint32_t id,
                                float* row) const {
  const size_t n = store_.dimension();
  auto* const halves = reinterpret_cast<uint16_t*>(row + n);
  kernels_.float_to_half(store_.Row(id, row), n, halves);
  return metric_ == Metric::kL2 ? kernels_.squared_l2_half(query, halves, n)
                                : -kernels_.dot_half(query, halves, n);
}

}  // namespace timbre
