// Mixing frames with their nearest training frames, as RVC's pipeline does
// (infer/modules/vc/pipeline.py of RVC-Project's WebUI):
//
//   w_i = (1 / d_i)^2 / sum_j (1 / d_j)^2,   d = squared L2 distance
//   out = rate * sum_i w_i * row_i + (1 - rate) * frame
//
// computed relative to the nearest, (d_min / d_i)^2, which is equal after
// normalisation and cannot overflow.
#ifndef TIMBRE_SERVER_ENGINE_SEARCH_BLENDER_H_
#define TIMBRE_SERVER_ENGINE_SEARCH_BLENDER_H_

#include <cstdint>
#include <vector>

#include "server/engine/search/speaker_index.h"

namespace timbre {

enum class Weighting : uint8_t {
  kInverseSquareDistance,
  kUniform,
  kCosinePower,  // w = max(0, cosine)^alpha: alpha query expansion
};

struct BlendSettings {
  Weighting weighting = Weighting::kInverseSquareDistance;
  float alpha = 3;  // of kCosinePower
};

// Working memory of one thread, as SearchScratch.
struct BlendScratch {
  std::vector<double> weights;    // [k], not normalised
  std::vector<float> shares;      // [k], of the rows that weigh something
  std::vector<const char*> rows;  // [k], the same
  std::vector<float> mix;         // [dimension], like the two below
  std::vector<float> row;
  std::vector<float> unit;
};

// What a batch of blends did; sums, for the means of the reply.
struct BlendTotals {
  double nearest_distance = 0;  // over frames that have a neighbour
  uint64_t frames_with_neighbor = 0;
  double shift = 0;  // |out - in| / |in| over frames of norm > 0
  uint64_t frames_with_norm = 0;

  BlendTotals& operator+=(const BlendTotals& other) {
    nearest_distance += other.nearest_distance;
    frames_with_neighbor += other.frames_with_neighbor;
    shift += other.shift;
    frames_with_norm += other.frames_with_norm;
    return *this;
  }
};

// The neighbours of a batch, as SpeakerIndex::Search found them.
struct NeighborBatch {
  uint32_t k = 0;
  const int64_t* ids = nullptr;      // [rows, k]
  const float* distances = nullptr;  // [rows, k]
};

// Blends `frames` ([rows, dimension], magnitudes up to 1e15) with `neighbors`
// into `out` (the same shape; may be `frames`). `rates` ([rows], 0..1) says how
// much of the mix each frame gets. Always finite: neighbours at distance zero
// share the whole weight, missing ones weigh nothing, and where no weight is
// left the frame comes back as it was. Adds to `totals`. The caller asks
// index.store().Check() whether all rows could be read. Thread-safe with one
// scratch a thread.
void Blend(const SpeakerIndex& index, const float* frames, size_t rows,
           const NeighborBatch& neighbors, const float* rates,
           const BlendSettings& settings, BlendScratch& scratch, float* out,
           BlendTotals& totals);

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_SEARCH_BLENDER_H_
