#include "server/engine/coarse_quantizer.h"

#include <limits>

namespace timbre {

CoarseQuantizer::CoarseQuantizer(const IvfParts& parts, Metric metric,
                                 const KernelTable& kernels)
    : parts_(parts), kernels_(kernels), half_norms_(parts.nlist, 0.0F) {
  for (uint32_t list = 0; list < parts.nlist; ++list) {
    if (parts.List(list).empty()) {
      // Visited last: where all frames are alike, dozens of empty lists may be
      // as near as the full one.
      half_norms_[list] = std::numeric_limits<float>::infinity();
    } else if (metric == Metric::kL2) {
      const float* const c = &parts.centroids[size_t{list} * parts.dimension];
      half_norms_[list] = 0.5F * kernels.dot(c, c, parts.dimension);
    }
  }
}

const std::vector<ScoredId>& CoarseQuantizer::Probe(const float* query,
                                                    uint32_t nprobe,
                                                    TopK& top) const {
  top.Reset(nprobe);
  const float* centroid = parts_.centroids.data();
  for (uint32_t list = 0; list < parts_.nlist; ++list) {
    const float score =
        half_norms_[list] - kernels_.dot(query, centroid, parts_.dimension);
    top.Push(MakeScoredId(score, list));
    centroid += parts_.dimension;
  }
  return top.Finish();
}

}  // namespace timbre
