// Which lists to visit for a frame.
#ifndef TIMBRE_SERVER_ENGINE_COARSE_QUANTIZER_H_
#define TIMBRE_SERVER_ENGINE_COARSE_QUANTIZER_H_

#include <cstdint>
#include <vector>

#include "server/engine/ivf_parts.h"
#include "server/engine/metric.h"
#include "server/engine/top_k.h"
#include "server/kernels/kernels.h"

namespace timbre {

// Immutable and thread-safe. Refers to `parts`, which must outlive it.
class CoarseQuantizer {
 public:
  CoarseQuantizer(const IvfParts& parts, Metric metric,
                  const KernelTable& kernels);

  // The `nprobe` lists whose centroids are nearest to `query` ([dimension],
  // normalised for kCosine), nearest first, ties by list number. 1 <= nprobe
  // <= nlist. The result is valid until `top` is used again.
  const std::vector<ScoredId>& Probe(const float* query, uint32_t nprobe,
                                     TopK& top) const;

  size_t resident_bytes() const {
    return half_norms_.capacity() * sizeof(float);
  }

 private:
  const IvfParts& parts_;
  const KernelTable& kernels_;
  // |c|^2 / 2 for kL2, where |q - c|^2 / 2 = |q|^2 / 2 - <q, c> + |c|^2 / 2
  // and |q|^2 is the same for all; else 0. Infinite for empty lists.
  std::vector<float> half_norms_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_COARSE_QUANTIZER_H_
