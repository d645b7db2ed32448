#include "server/engine/lists/quantized_vectors.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace timbre {
namespace {

size_t Divide(size_t n, size_t by) { return (n + by - 1) / by; }

}  // namespace

size_t QuantizedVectors::ResidentBytes(size_t count, size_t dimension) {
  const size_t padded = Divide(count, kVectorsPerBlock) * kVectorsPerBlock;
  const size_t padded_dimension =
      Divide(dimension, kDimensionsPerGroup) * kDimensionsPerGroup;
  return padded * (padded_dimension + 2 * sizeof(float));
}

QuantizedVectors::QuantizedVectors(size_t count, size_t dimension,
                                   std::pmr::memory_resource* memory)
    : dimension_(dimension),
      blocks_(Divide(count, kVectorsPerBlock)),
      groups_(Divide(dimension, kDimensionsPerGroup)),
      values_(padded_count() * padded_dimension(), 128, memory),
      steps_(padded_count(), 0.0F, memory),
      biases_(padded_count(), kNoBias, memory),
      least_bias_(kNoBias),
      most_bias_(-kNoBias) {}

void QuantizedVectors::Set(size_t i, const float* vector, const float* center,
                           float bias, const KernelTable& kernels) {
  quantized_.resize(padded_dimension());
  const QuantizedFrame frame = kernels.quantize(
      vector, center, dimension_, quantized_.size(), quantized_.data());
  const size_t block = i / kVectorsPerBlock;
  const size_t column = i % kVectorsPerBlock;
  uint8_t* out =
      &values_[block * groups_ * kGroupBytes + column * kDimensionsPerGroup];
  for (size_t group = 0; group < groups_; ++group, out += kGroupBytes) {
    uint32_t four = 0;
    std::memcpy(&four, &quantized_[group * kDimensionsPerGroup], sizeof(four));
    four ^= 0x80808080U;  // + 128
    std::memcpy(out, &four, sizeof(four));
  }
  steps_[i] = frame.step;
  biases_[i] = bias;
  largest_step_ = std::max(largest_step_, frame.step);
  largest_norm_ = std::max(largest_norm_, std::sqrt(frame.squared_norm));
  least_bias_ = std::min(least_bias_, bias);
  most_bias_ = std::max(most_bias_, bias);
}

}  // namespace timbre
