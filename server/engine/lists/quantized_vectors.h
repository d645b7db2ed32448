// Vectors as int8, as the kernels read them.
#ifndef TIMBRE_SERVER_ENGINE_LISTS_QUANTIZED_VECTORS_H_
#define TIMBRE_SERVER_ENGINE_LISTS_QUANTIZED_VECTORS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory_resource>
#include <vector>

#include "server/base/aligned_vector.h"
#include "server/kernels/kernels.h"

namespace timbre {

// Rounding errors that are allowed for, in standard deviations: of normally
// distributed ones, as those of features are, one in 10^8 is larger.
inline constexpr double kDeviations = 5.7;

// Twelve times the variance of the error of a number of the quantized frame, of
// `n` numbers: step^2, unless a few numbers are so large that most of the
// others round to zero. Such errors are not independent of what they are
// multiplied with; then it is what makes kDeviations of them their length.
inline double ErrorOf(const QuantizedFrame& frame, size_t n) {
  const double step = frame.step;
  const double others =
      std::max(0.0, frame.squared_norm - 127.0 * step * 127.0 * step);
  const double squared_step = step * step;
  if (others > 0.25 * static_cast<double>(n) * squared_step) {
    return squared_step;
  }
  return std::max(squared_step, 12 * others / (kDeviations * kDeviations));
}

// A value; const use is thread-safe.
class QuantizedVectors {
 public:
  // `count` vectors, zeros with infinite biases until they are set.
  // In `memory`, which outlives them; null: the heap.
  QuantizedVectors(size_t count, size_t dimension,
                   std::pmr::memory_resource* memory = nullptr);

  // Vector `i` becomes `vector` - `center`, [dimension] each.
  void Set(size_t i, const float* vector, const float* center, float bias,
           const KernelTable& kernels);

  VectorBlocks view() const {
    return {values_.data(), steps_.data(), biases_.data(), blocks_, groups_};
  }
  // Both rounded up to what the kernels take.
  size_t padded_count() const { return blocks_ * kVectorsPerBlock; }
  size_t padded_dimension() const { return groups_ * kDimensionsPerGroup; }

  bool has(size_t i) const { return biases_[i] != kNoBias; }
  // Over the vectors that were set; biases are infinite if none was.
  float largest_step() const { return largest_step_; }
  float largest_norm() const { return largest_norm_; }
  float least_bias() const { return least_bias_; }
  float most_bias() const { return most_bias_; }

  size_t resident_bytes() const {
    return ResidentBytes(padded_count(), padded_dimension());
  }
  // The same before they are made.
  static size_t ResidentBytes(size_t count, size_t dimension);

 private:
  static constexpr float kNoBias = std::numeric_limits<float>::infinity();

  size_t dimension_;
  size_t blocks_;
  size_t groups_;
  AlignedVector<uint8_t> values_;  // see kernels/layout.h
  AlignedVector<float> steps_;
  AlignedVector<float> biases_;
  std::vector<int8_t> quantized_;  // of Set
  float largest_step_ = 0;
  float largest_norm_ = 0;
  float least_bias_;
  float most_bias_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_LISTS_QUANTIZED_VECTORS_H_
