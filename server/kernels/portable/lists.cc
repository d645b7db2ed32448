#include <algorithm>
#include <array>
#include <cmath>

#include "server/kernels/portable/portable.h"

namespace timbre::portable {
namespace {

constexpr size_t kLanes = 16;

// To nearest, ties to even, for |value| < 2^22: adding 1.5 * 2^23 leaves no
// room for a fraction. Compilers vectorise it, other than rint.
float RoundToEven(float value) {
  constexpr float kMagic = 12582912.0F;
  return (value + kMagic) - kMagic;
}

using Dots = std::array<int32_t, kVectorsPerBlock>;

// What becomes of the dot products with 16 vectors: scores,
void Write(const VectorBlocks& centroids, size_t block, const Dots& dots,
           const ListQuery& query) {
  const size_t first = block * kVectorsPerBlock;
  for (size_t c = 0; c < kVectorsPerBlock; ++c) {
    const float dot = static_cast<float>(dots[c] - 128 * query.sum) *
                      centroids.steps[first + c];
    const float score =
        (centroids.biases[first + c] * query.scale + query.offset) -
        dot * query.step;
    query.scores[first + c] =
        static_cast<uint16_t>(std::min(65535.0F, std::max(0.0F, score)));
  }
}

// or coordinates.
void Write(const VectorBlocks& vectors, size_t block, const Dots& dots,
           const Projection& frame) {
  const size_t first = block * kVectorsPerBlock;
  for (size_t c = 0; c < kVectorsPerBlock; ++c) {
    frame.coordinates[first + c] =
        static_cast<float>(dots[c] - 128 * frame.sum) *
        vectors.steps[first + c] * frame.step;
  }
}

template <typename Query>
void ForAll(const VectorBlocks& vectors, const Query* queries, size_t count,
            PrefetchQueue& prefetch) {
  const uint8_t* values = vectors.values;
  for (size_t block = 0; block < vectors.blocks; ++block) {
    for (size_t q = 0; q < count; ++q) {
      Dots dots{};
      for (size_t g = 0; g < vectors.groups; ++g) {
        const int8_t* const x = queries[q].frame + g * kDimensionsPerGroup;
        const uint8_t* const group = values + g * kGroupBytes;
        for (size_t c = 0; c < kVectorsPerBlock; ++c) {
          for (size_t i = 0; i < kDimensionsPerGroup; ++i) {
            dots[c] += int32_t{x[i]} * group[c * kDimensionsPerGroup + i];
          }
        }
        if (!prefetch.empty()) prefetch.IssueLine();
      }
      Write(vectors, block, dots, queries[q]);
    }
    values += vectors.groups * kGroupBytes;
  }
}

}  // namespace

QuantizedFrame Quantize(const float* frame, const float* center, size_t n,
                        size_t padded, int8_t* out) {
  float largest = 0;
  std::array<float, kLanes> norms{};
  for (size_t i = 0; i < n; ++i) {
    const float x = frame[i] - center[i];
    largest = std::max(largest, std::fabs(x));
    norms[i % kLanes] += x * x;
  }
  for (size_t width = kLanes / 2; width > 0; width /= 2) {
    for (size_t i = 0; i < width; ++i) norms[i] += norms[i + width];
  }
  QuantizedFrame result{.step = largest / 127.0F, .squared_norm = norms[0]};
  const float inverse = largest > kTiny ? 127.0F / largest : 0.0F;
  for (size_t i = 0; i < n; ++i) {
    const float value = RoundToEven((frame[i] - center[i]) * inverse);
    out[i] = static_cast<int8_t>(std::min(127.0F, std::max(-127.0F, value)));
    result.sum += out[i];
  }
  std::fill(out + n, out + padded, int8_t{0});
  return result;
}

void ScoreLists(const VectorBlocks& centroids, const ListQuery* queries,
                size_t count, PrefetchQueue& prefetch) {
  ForAll(centroids, queries, count, prefetch);
}

void Project(const VectorBlocks& vectors, const Projection* frames,
             size_t count) {
  PrefetchQueue none;
  ForAll(vectors, frames, count, none);
}

}  // namespace timbre::portable
