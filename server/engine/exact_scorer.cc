#include "server/engine/exact_scorer.h"

#include <algorithm>
#include <cmath>

namespace timbre {

void Normalize(const float* frame, size_t n, const KernelTable& kernels,
               float* out) {
  const float norm = std::sqrt(kernels.dot(frame, frame, n));
  const float scale = 1.0F / std::max(kNormEpsilon, norm);
  for (size_t i = 0; i < n; ++i) out[i] = frame[i] * scale;
}

float ExactScorer::Score(const float* query, uint32_t id, float* row) const {
  const size_t n = store_.dimension();
  if (metric_ == Metric::kCosine) {
    const float* const raw = store_.Row(id, row);
    float* const unit = row + n;
    Normalize(raw, n, kernels_, unit);
    if (rounds_) {
      // What is rounded is what the index holds: the normalised frame.
      auto* const halves = reinterpret_cast<uint16_t*>(row);
      kernels_.float_to_half(unit, n, halves);
      kernels_.half_to_float(halves, n, unit);
    }
    return -kernels_.dot(query, unit, n);
  }
  if (rounds_) {
    auto* const halves = reinterpret_cast<uint16_t*>(row);
    kernels_.float_to_half(store_.Row(id, row), n, halves);
    return metric_ == Metric::kL2 ? kernels_.squared_l2_half(query, halves, n)
                                  : -kernels_.dot_half(query, halves, n);
  }
  return metric_ == Metric::kL2 ? store_.SquaredL2(query, id)
                                : -store_.Dot(query, id);
}

}  // namespace timbre
