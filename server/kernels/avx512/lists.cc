#include "server/kernels/avx512/avx512.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#include "server/kernels/avx512/score_block.h"

namespace timbre::avx512 {
namespace {

// Half a block: 8 centroids, each in two 32-bit sums.
constexpr size_t kHalfBytes = 32;

// Four int8 values as int16, again and again.
TIMBRE_AVX512 inline __m512i SpreadGroup(const int8_t* values) {
  int32_t four = 0;
  std::memcpy(&four, values, sizeof(four));
  return _mm512_broadcastq_epi64(_mm_cvtepi8_epi16(_mm_cvtsi32_si128(four)));
}

// The pairs of two half blocks added up: 16 dot products.
TIMBRE_AVX512 inline __m512i AddPairs(__m512i low, __m512i high) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20,
                                         22, 24, 26, 28, 30);
  const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21,
                                        23, 25, 27, 29, 31);
  return _mm512_add_epi32(_mm512_permutex2var_epi32(low, even, high),
                          _mm512_permutex2var_epi32(low, odd, high));
}

template <size_t kFrames, typename Query>
TIMBRE_AVX512 inline void ForAll(const VectorBlocks& vectors,
                                 const Query* queries,
                                 PrefetchQueue& prefetch) {
  const uint8_t* values = vectors.values;
  for (size_t block = 0; block < vectors.blocks; ++block) {
    __m512i low[kFrames] = {};
    __m512i high[kFrames] = {};
    for (size_t g = 0; g < vectors.groups; ++g, values += 2 * kHalfBytes) {
      const __m512i c0 = _mm512_cvtepu8_epi16(
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(values)));
      const __m512i c1 = _mm512_cvtepu8_epi16(_mm256_loadu_si256(
          reinterpret_cast<const __m256i*>(values + kHalfBytes)));
#pragma GCC unroll 4
      for (size_t q = 0; q < kFrames; ++q) {
        const __m512i x =
            SpreadGroup(queries[q].frame + g * kDimensionsPerGroup);
        low[q] = _mm512_add_epi32(low[q], _mm512_madd_epi16(c0, x));
        high[q] = _mm512_add_epi32(high[q], _mm512_madd_epi16(c1, x));
      }
      if (!prefetch.empty()) prefetch.IssueLine();
    }
    for (size_t q = 0; q < kFrames; ++q) {
      Write(vectors, block, AddPairs(low[q], high[q]), queries[q]);
    }
  }
}

template <typename Query>
TIMBRE_AVX512 inline void ForAny(const VectorBlocks& vectors,
                                 const Query* queries, size_t count,
                                 PrefetchQueue& prefetch) {
  switch (count) {
    case 1:
      return ForAll<1>(vectors, queries, prefetch);
    case 2:
      return ForAll<2>(vectors, queries, prefetch);
    case 3:
      return ForAll<3>(vectors, queries, prefetch);
    default:
      return ForAll<4>(vectors, queries, prefetch);
  }
}

}  // namespace

TIMBRE_AVX512 QuantizedFrame Quantize(const float* frame, const float* center,
                                      size_t n, size_t padded, int8_t* out) {
  __m512 largest = _mm512_setzero_ps();
  __m512 norm = largest;
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 tail = Tail16(n - i);
    const __m512 x = _mm512_sub_ps(_mm512_maskz_loadu_ps(tail, frame + i),
                                   _mm512_maskz_loadu_ps(tail, center + i));
    largest = _mm512_max_ps(largest, _mm512_abs_ps(x));
    norm = _mm512_add_ps(norm, _mm512_mul_ps(x, x));
  }
  const float most = _mm512_reduce_max_ps(largest);
  QuantizedFrame result{.step = most / 127.0F,
                        .squared_norm = _mm512_reduce_add_ps(norm)};
  const __m512 inverse = _mm512_set1_ps(most > kTiny ? 127.0F / most : 0.0F);
  __m512i sum = _mm512_setzero_si512();
  for (size_t i = 0; i < padded; i += 16) {
    const __mmask16 tail = i < n ? Tail16(n - i) : 0;
    const __m512 x = _mm512_sub_ps(_mm512_maskz_loadu_ps(tail, frame + i),
                                   _mm512_maskz_loadu_ps(tail, center + i));
    const __m512i value = _mm512_max_epi32(
        _mm512_min_epi32(_mm512_cvtps_epi32(_mm512_mul_ps(x, inverse)),
                         _mm512_set1_epi32(127)),
        _mm512_set1_epi32(-127));
    sum = _mm512_add_epi32(sum, value);
    _mm_mask_storeu_epi8(out + i, Tail16(padded - i),
                         _mm512_cvtepi32_epi8(value));
  }
  result.sum = _mm512_reduce_add_epi32(sum);
  return result;
}

TIMBRE_AVX512 void ScoreLists(const VectorBlocks& centroids,
                              const ListQuery* queries, size_t count,
                              PrefetchQueue& prefetch) {
  ForAny(centroids, queries, count, prefetch);
}

TIMBRE_AVX512 void Project(const VectorBlocks& vectors,
                           const Projection* frames, size_t count) {
  PrefetchQueue none;
  ForAny(vectors, frames, count, none);
}

}  // namespace timbre::avx512

#endif  // defined(__x86_64__)
