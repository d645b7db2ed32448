// Which lists to visit for a frame.
#ifndef TIMBRE_SERVER_ENGINE_LISTS_COARSE_QUANTIZER_H_
#define TIMBRE_SERVER_ENGINE_LISTS_COARSE_QUANTIZER_H_

#include <array>
#include <cstdint>
#include <memory_resource>
#include <optional>
#include <span>
#include <vector>

#include "absl/functional/function_ref.h"
#include "server/base/aligned_vector.h"
#include "server/engine/frames/metric.h"
#include "server/engine/lists/ivf_parts.h"
#include "server/engine/lists/projection.h"
#include "server/engine/lists/quantized_vectors.h"
#include "server/engine/lists/select.h"
#include "server/engine/lists/top_k.h"
#include "server/kernels/kernels.h"

namespace timbre {

// Working memory of one thread.
struct CoarseScratch {
  AlignedVector<int8_t> frames;     // [kFramesPerTile, padded dimension]
  AlignedVector<int8_t> projected;  // [kFramesPerTile, size of the projection]
  std::vector<float> coordinates;   // the same
  AlignedVector<uint16_t> scores;   // [kFramesPerTile, padded lists]
  // [kFramesPerTile, padded lists or kMaxSurvivors]
  std::vector<uint32_t> positions;
  TopK nearest;  // lists by the float centroids
};

// Immutable and thread-safe. Refers to the centroids, which must outlive it.
//
// All centroids are scored with int8 dot products of centred vectors, where it
// pays in a space of fewer dimensions (projection.h). But for rounding, which
// is allowed for, these scores are bounds: the lists of the smallest are
// compared by the float centroids until no other can be nearer.
class CoarseQuantizer {
 public:
  // Of all lists of `parts` that are not empty. What it adds to them lies in
  // `memory`, which outlives it; null: the heap.
  CoarseQuantizer(const IvfParts& parts, Metric metric,
                  const KernelTable& kernels,
                  std::pmr::memory_resource* memory = nullptr);
  // Whether to look for a space of fewer dimensions, which takes as long as
  // some hundred frames and pays after some thousand.
  enum class Project : uint8_t { kNever, kIfItPays };

  // Of `centroids` ([lists, dimension]): at least one.
  CoarseQuantizer(std::span<const float> centroids, uint32_t dimension,
                  Metric metric, const KernelTable& kernels,
                  Project project = Project::kIfItPays);

  // lists[i] becomes the `nprobe` lists whose centroids are nearest to
  // frames[i] ([dimension], normalised for kCosine), i < count <=
  // kFramesPerTile; nearest first, ties by list number, without empty lists.
  // Issues `prefetch` meanwhile.
  void Probe(const float* const* frames, size_t count, uint32_t nprobe,
             PrefetchQueue& prefetch, CoarseScratch& scratch,
             std::vector<uint32_t>* lists) const;

  // Coordinates that are compared: the dimension, or fewer.
  size_t coordinates() const {
    return projection_ ? projection_->size() : dimension_;
  }
  size_t resident_bytes() const;
  // At most that before it is made.
  static size_t MostResidentBytes(size_t lists, uint32_t dimension);

 private:
  // A frame on its way: how its scores are made, and how far to trust them.
  struct Scoring {
    ListQuery query;
    double deviation = 0;  // of a score, by rounding
    // score = exact * exact_scale + exact_offset, each of these up to the
    // rounding of floats.
    double exact_scale = 1;
    double exact_offset = 0;
  };
  using Scorings = std::array<Scoring, kFramesPerTile>;

  // Of those that are `visited`.
  CoarseQuantizer(std::span<const float> centroids, uint32_t dimension,
                  absl::FunctionRef<bool(uint32_t list)> visited, Metric metric,
                  const KernelTable& kernels, Project project,
                  std::pmr::memory_resource* memory);

  std::vector<float> CenteredCentroids() const;
  float BiasOf(const float* centered) const;
  // Quantizes the frames and, where there is a projection, projects them.
  void Prepare(const float* const* frames, size_t count, CoarseScratch& scratch,
               Scorings& scorings) const;
  void PrepareProjected(const QuantizedFrame* frames, size_t count,
                        CoarseScratch& scratch, Scorings& scorings) const;
  // How to score a frame of the space of `vectors_`, whose numbers have errors
  // of a variance of `error` / 12.
  Scoring ScoringOf(const QuantizedFrame& frame, double error) const;
  // How its exact scores relate to these: for the frame as it came.
  void Relate(const float* frame, const QuantizedFrame& quantized,
              Scoring& scoring) const;

  // The lists of one frame: `near` are those of the smallest scores.
  void Choose(const float* frame, const Scoring& scoring, uint32_t nprobe,
              Selection near, uint32_t* positions, TopK& nearest,
              std::vector<uint32_t>& lists) const;
  // The largest score of lists whose exact scores are at most `exact`.
  static uint16_t LimitOf(const Scoring& scoring, float exact);
  // Pushes those of `lists` whose scores are above `above`.
  void PushExact(const float* frame, const Scoring& scoring, int above,
                 std::span<const uint32_t> lists, TopK& nearest) const;
  void PrefetchCentroid(uint32_t list) const;
  // Exact up to rounding, smaller is nearer.
  float Score(const float* frame, uint32_t list) const;

  const std::span<const float> centroids_;
  const uint32_t dimension_;
  const KernelTable& kernels_;
  const Metric metric_;
  const size_t padded_dimension_;
  // All const after construction.
  std::vector<float> center_;  // mean of the centroids
  std::optional<SubspaceProjection> projection_;
  std::vector<float> origin_;  // zeros
  QuantizedVectors vectors_;   // centroid - center, projected; see BiasOf
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_LISTS_COARSE_QUANTIZER_H_
