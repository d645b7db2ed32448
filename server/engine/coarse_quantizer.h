// Which lists to visit for a frame.
#ifndef TIMBRE_SERVER_ENGINE_COARSE_QUANTIZER_H_
#define TIMBRE_SERVER_ENGINE_COARSE_QUANTIZER_H_

#include <array>
#include <cstdint>
#include <vector>

#include "server/base/aligned_vector.h"
#include "server/engine/ivf_parts.h"
#include "server/engine/metric.h"
#include "server/engine/top_k.h"
#include "server/kernels/kernels.h"

namespace timbre {

// Working memory of one thread.
struct CoarseScratch {
  AlignedVector<int8_t> frames;     // [kFramesPerTile, padded dimension]
  AlignedVector<uint16_t> scores;   // [kFramesPerTile, padded lists]
  std::vector<uint32_t> positions;  // [padded lists]
  std::vector<ScoredId> borderline;
};

// Immutable and thread-safe. Refers to `parts`, which must outlive it.
//
// All centroids are scored with int8 dot products of centred vectors. Where
// rounding could decide who is in (see MarginOf), the float centroids do.
class CoarseQuantizer {
 public:
  CoarseQuantizer(const IvfParts& parts, Metric metric,
                  const KernelTable& kernels);

  // lists[i] becomes the `nprobe` lists whose centroids are nearest to
  // frames[i] ([dimension], normalised for kCosine), i < count <=
  // kFramesPerTile; in no particular order, ties by list number, without empty
  // lists. Issues `prefetch` meanwhile.
  void Probe(const float* const* frames, size_t count, uint32_t nprobe,
             PrefetchQueue& prefetch, CoarseScratch& scratch,
             std::vector<uint32_t>* lists) const;

  size_t resident_bytes() const;

 private:
  // A frame on its way: how its scores are made, and how far to trust them.
  struct Scoring {
    ListQuery query;
    uint16_t margin = 0;
  };

  void AddCentroid(uint32_t list);
  Scoring Prepare(const float* frame, int8_t* quantized,
                  uint16_t* scores) const;
  uint16_t MarginOf(const QuantizedFrame& frame, float scale) const;
  void Choose(const float* frame, const Scoring& scoring, uint32_t nprobe,
              CoarseScratch& scratch, std::vector<uint32_t>& lists) const;
  // Exact up to rounding, smaller is nearer.
  float Score(const float* frame, uint32_t list) const;

  CentroidBlocks Blocks() const {
    return {values_.data(), steps_.data(), biases_.data(), blocks_, groups_};
  }
  size_t padded_lists() const { return blocks_ * kCentroidsPerBlock; }
  size_t padded_dimension() const { return groups_ * kDimensionsPerGroup; }

  const IvfParts& parts_;
  const KernelTable& kernels_;
  const size_t blocks_;
  const size_t groups_;
  const Metric metric_;
  // All const after construction.
  std::vector<float> center_;      // mean of the centroids
  AlignedVector<uint8_t> values_;  // centroid - center, see layout.h
  AlignedVector<float> steps_;
  AlignedVector<float> biases_;  // infinite for empty lists
  float largest_step_ = 0;
  float largest_norm_ = 0;  // of centroid - center
  float least_bias_ = 0;
  float most_bias_ = 0;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_COARSE_QUANTIZER_H_
