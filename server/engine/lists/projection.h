// Fewer dimensions in which inner products are bounds.
//
// The centroids of a voice differ in few directions: 63 of 256 hold more than
// 99.5 % of what they are apart. Projected on orthonormal directions, with the
// length of what is lost as one more coordinate, vectors a and b have
//   <a, b> <= <a', b'>      (Cauchy-Schwarz)
// whatever the directions are; the better they are, the tighter it is.
#ifndef TIMBRE_SERVER_ENGINE_LISTS_PROJECTION_H_
#define TIMBRE_SERVER_ENGINE_LISTS_PROJECTION_H_

#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <optional>
#include <vector>

#include "server/engine/lists/quantized_vectors.h"
#include "server/kernels/kernels.h"

namespace timbre {

struct Projected;

// A value; const use is thread-safe.
class SubspaceProjection {
 public:
  // For `vectors` ([count, dimension], with a mean of zero): the directions in
  // which they differ most, and what becomes of them; or nothing if half of the
  // dimensions would not do, or they are too few for it to pay. Deterministic.
  // The directions lie in `memory`; null: the heap.
  // Costs count * size * dimension operations: some milliseconds for 1,000
  // vectors of 256 numbers.
  static std::optional<Projected> Find(
      const std::vector<float>& vectors, size_t dimension,
      const KernelTable& kernels, std::pmr::memory_resource* memory = nullptr);
  // At most the coordinates of a projection of so many vectors; 0: there is
  // none.
  static size_t MostCoordinates(size_t count, size_t dimension);

  // Coordinates of a projected vector: a multiple of 32.
  size_t size() const { return size_; }

  // The coordinates ([count, size()]) of `count` <= kFramesPerTile frames, in
  // int8 arithmetic. The last is never too small, but for errors beyond
  // kDeviations.
  //   frames  what `quantize` said of each
  //   values  [count, padded dimension], what it wrote
  void Project(const QuantizedFrame* frames, const int8_t* values, size_t count,
               float* coordinates) const;

  // Twelve times the variance of the error of a coordinate of this frame.
  double ErrorOf(const QuantizedFrame& frame) const;

  size_t resident_bytes() const { return directions_.resident_bytes(); }

 private:
  SubspaceProjection(const std::vector<float>& directions, size_t dimension,
                     float residual_unit, const KernelTable& kernels,
                     std::pmr::memory_resource* memory);

  size_t size_;
  size_t dimension_;
  QuantizedVectors directions_;  // size_ - 1, orthonormal
  float residual_unit_;          // of the last coordinate of frames
  const KernelTable* kernels_;
};

struct Projected {
  SubspaceProjection projection;
  std::vector<float> vectors;  // [count, projection.size()]
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_LISTS_PROJECTION_H_
