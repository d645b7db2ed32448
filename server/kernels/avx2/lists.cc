#include "server/kernels/avx2/avx2.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "server/kernels/avx2/target.h"

namespace timbre::avx2 {
namespace {

constexpr size_t kQuarterBytes = kGroupBytes / 4;

// Four int8 values as int16, again and again.
TIMBRE_AVX2 inline __m256i SpreadGroup(const int8_t* values) {
  int32_t four = 0;
  std::memcpy(&four, values, sizeof(four));
  return _mm256_broadcastq_epi64(_mm_cvtepi8_epi16(_mm_cvtsi32_si128(four)));
}

// Dot products of values + 128 with a frame, in units of the frame's step.
TIMBRE_AVX2 inline __m256 Scale(const VectorBlocks& vectors, size_t first,
                                __m256i dots, int32_t sum) {
  return _mm256_mul_ps(
      _mm256_cvtepi32_ps(_mm256_sub_epi32(dots, _mm256_set1_epi32(128 * sum))),
      _mm256_loadu_ps(vectors.steps + first));
}

// What becomes of the dot products with 8 vectors: scores,
TIMBRE_AVX2 inline void Write(const VectorBlocks& centroids, size_t first,
                              __m256i dots, const ListQuery& query) {
  const __m256 dot = Scale(centroids, first, dots, query.sum);
  const __m256 bias =
      _mm256_add_ps(_mm256_mul_ps(_mm256_loadu_ps(centroids.biases + first),
                                  _mm256_set1_ps(query.scale)),
                    _mm256_set1_ps(query.offset));
  const __m256 score =
      _mm256_sub_ps(bias, _mm256_mul_ps(dot, _mm256_set1_ps(query.step)));
  const __m256i clamped = _mm256_cvttps_epi32(_mm256_min_ps(
      _mm256_max_ps(score, _mm256_setzero_ps()), _mm256_set1_ps(65535.0F)));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(query.scores + first),
                   _mm_packus_epi32(_mm256_castsi256_si128(clamped),
                                    _mm256_extracti128_si256(clamped, 1)));
}

// or coordinates.
TIMBRE_AVX2 inline void Write(const VectorBlocks& vectors, size_t first,
                              __m256i dots, const Projection& frame) {
  _mm256_storeu_ps(frame.coordinates + first,
                   _mm256_mul_ps(Scale(vectors, first, dots, frame.sum),
                                 _mm256_set1_ps(frame.step)));
}

// Pairs added up: 8 dot products from two quarters of 4 vectors.
TIMBRE_AVX2 inline __m256i AddPairs(__m256i low, __m256i high) {
  return _mm256_permute4x64_epi64(_mm256_hadd_epi32(low, high), 0xD8);
}

// One block of 16 vectors, in quarters of 4, for kFrames frames.
template <size_t kFrames, typename Query>
TIMBRE_AVX2 inline void ForBlock(const VectorBlocks& vectors, size_t block,
                                 const Query* queries,
                                 PrefetchQueue& prefetch) {
  const uint8_t* values = vectors.values + block * vectors.groups * kGroupBytes;
  __m256i dots[kFrames][4] = {};
  for (size_t g = 0; g < vectors.groups; ++g, values += kGroupBytes) {
    __m256i x[kFrames];
    for (size_t q = 0; q < kFrames; ++q) {
      x[q] = SpreadGroup(queries[q].frame + g * kDimensionsPerGroup);
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; ++i) {
      const __m256i c = _mm256_cvtepu8_epi16(_mm_loadu_si128(
          reinterpret_cast<const __m128i*>(values + i * kQuarterBytes)));
#pragma GCC unroll 2
      for (size_t q = 0; q < kFrames; ++q) {
        dots[q][i] = _mm256_add_epi32(dots[q][i], _mm256_madd_epi16(c, x[q]));
      }
    }
    // No faster than memory answers random reads, or the loads of the loop
    // would have to wait behind them.
    if (g % 2 == 0 && !prefetch.empty()) prefetch.IssueLine();
  }
  const size_t first = block * kVectorsPerBlock;
  for (size_t q = 0; q < kFrames; ++q) {
    Write(vectors, first, AddPairs(dots[q][0], dots[q][1]), queries[q]);
    Write(vectors, first + 8, AddPairs(dots[q][2], dots[q][3]), queries[q]);
  }
}

template <typename Query>
TIMBRE_AVX2 inline void ForAll(const VectorBlocks& vectors,
                               const Query* queries, size_t count,
                               PrefetchQueue& prefetch) {
  for (size_t block = 0; block < vectors.blocks; ++block) {
    size_t q = 0;
    // 2 x 4 sums and their operands fill sixteen registers.
    for (; q + 2 <= count; q += 2) {
      ForBlock<2>(vectors, block, queries + q, prefetch);
    }
    if (q < count) ForBlock<1>(vectors, block, queries + q, prefetch);
  }
}

TIMBRE_AVX2 inline int32_t AddUp(__m256i v) {
  const __m128i four =
      _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  const __m128i two = _mm_add_epi32(four, _mm_srli_si128(four, 8));
  return _mm_extract_epi32(two, 0) + _mm_extract_epi32(two, 1);
}

inline void AddSquare(float x, __m256& lanes, size_t lane) {
  alignas(32) float values[8];
  std::memcpy(values, &lanes, sizeof(values));
  values[lane] += x * x;
  std::memcpy(&lanes, values, sizeof(values));
}

}  // namespace

TIMBRE_AVX2 QuantizedFrame Quantize(const float* frame, const float* center,
                                    size_t n, size_t padded, int8_t* out) {
  __m256 largest = _mm256_setzero_ps();
  // Lanes 0..7 and 8..15 of the reference's sixteen.
  __m256 norms[2] = {largest, largest};
  const __m256 sign = _mm256_set1_ps(-0.0F);
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m256 x =
        _mm256_sub_ps(_mm256_loadu_ps(frame + i), _mm256_loadu_ps(center + i));
    largest = _mm256_max_ps(largest, _mm256_andnot_ps(sign, x));
    __m256& norm = norms[i / 8 % 2];
    norm = _mm256_add_ps(norm, _mm256_mul_ps(x, x));
  }
  float most = Max(largest);
  for (size_t j = i; j < n; ++j) {
    const float x = frame[j] - center[j];
    most = std::max(most, std::fabs(x));
    AddSquare(x, norms[j / 8 % 2], j % 8);
  }
  QuantizedFrame result{.step = most / 127.0F,
                        .squared_norm = Sum(_mm256_add_ps(norms[0], norms[1]))};
  const float inverse = most > kTiny ? 127.0F / most : 0.0F;
  const __m256 inverses = _mm256_set1_ps(inverse);
  __m256i sums = _mm256_setzero_si256();
  for (i = 0; i + 8 <= n; i += 8) {
    const __m256 x =
        _mm256_sub_ps(_mm256_loadu_ps(frame + i), _mm256_loadu_ps(center + i));
    const __m256i value = _mm256_cvtps_epi32(_mm256_mul_ps(x, inverses));
    const __m256i clamped =
        _mm256_min_epi32(_mm256_max_epi32(value, _mm256_set1_epi32(-127)),
                         _mm256_set1_epi32(127));
    sums = _mm256_add_epi32(sums, clamped);
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(clamped),
                                          _mm256_extracti128_si256(clamped, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out + i),
                     _mm_packs_epi16(words, words));
  }
  result.sum = AddUp(sums);
  for (size_t j = i; j < n; ++j) {
    const int value =
        _mm_cvtss_si32(_mm_set_ss((frame[j] - center[j]) * inverse));
    out[j] = static_cast<int8_t>(std::clamp(value, -127, 127));
    result.sum += out[j];
  }
  std::fill(out + n, out + padded, int8_t{0});
  return result;
}

TIMBRE_AVX2 void ScoreLists(const VectorBlocks& centroids,
                            const ListQuery* queries, size_t count,
                            PrefetchQueue& prefetch) {
  ForAll(centroids, queries, count, prefetch);
}

TIMBRE_AVX2 void Project(const VectorBlocks& vectors, const Projection* frames,
                         size_t count) {
  PrefetchQueue none;
  ForAll(vectors, frames, count, none);
}

}  // namespace timbre::avx2

#endif  // defined(__x86_64__)
