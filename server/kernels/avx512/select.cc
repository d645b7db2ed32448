#include "server/kernels/avx512/avx512.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <bit>

#include "server/kernels/avx512/target.h"

namespace timbre::avx512 {
namespace {

TIMBRE_AVX512 inline __mmask32 AtMost(const uint16_t* values, __m512i limit) {
  return _mm512_cmple_epu16_mask(_mm512_loadu_si512(values), limit);
}

TIMBRE_AVX512 inline __mmask32 AtMostTail(const uint16_t* values, size_t left,
                                          __m512i limit) {
  const __mmask32 tail = Tail32(left);
  return _mm512_mask_cmple_epu16_mask(
      tail, _mm512_maskz_loadu_epi16(tail, values), limit);
}

// Appends first + i for every bit i, up to `most` in all; returns the new
// count.
TIMBRE_AVX512 inline size_t Append(uint32_t bits, size_t first, size_t count,
                                   size_t most, uint32_t* positions) {
  if (count + 32 <= most) {
    // Without a branch that depends on how many there are.
    const __m512i low =
        _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(first)),
                         _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
                                           12, 13, 14, 15));
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(16));
    const auto low_bits = static_cast<__mmask16>(bits);
    const auto high_bits = static_cast<__mmask16>(bits >> 16);
    _mm512_storeu_si512(positions + count,
                        _mm512_maskz_compress_epi32(low_bits, low));
    count += static_cast<size_t>(std::popcount(bits & 0xffffU));
    _mm512_storeu_si512(positions + count,
                        _mm512_maskz_compress_epi32(high_bits, high));
    return count + static_cast<size_t>(std::popcount(bits >> 16));
  }
  for (; bits != 0 && count < most; bits &= bits - 1) {
    positions[count++] = static_cast<uint32_t>(
        first + static_cast<size_t>(std::countr_zero(bits)));
  }
  return count;
}

TIMBRE_AVX512 inline size_t CountAtMost(const uint16_t* values, size_t n,
                                        uint16_t limit) {
  const __m512i limits = _mm512_set1_epi16(static_cast<int16_t>(limit));
  size_t count = 0;
  size_t i = 0;
  for (; i + 32 <= n; i += 32) {
    count += static_cast<size_t>(std::popcount(AtMost(values + i, limits)));
  }
  if (i < n) {
    count += static_cast<size_t>(
        std::popcount(AtMostTail(values + i, n - i, limits)));
  }
  return count;
}

struct Range {
  uint32_t least;
  uint32_t most;
};

TIMBRE_AVX512 inline Range RangeOf(const uint16_t* values, size_t n) {
  const __m512i none = _mm512_set1_epi16(-1);
  __m512i least = none;
  __m512i most = _mm512_setzero_si512();
  for (size_t i = 0; i < n; i += 32) {
    const __mmask32 tail = Tail32(n - i);
    const __m512i v = _mm512_maskz_loadu_epi16(tail, values + i);
    least = _mm512_mask_min_epu16(least, tail, least, v);
    most = _mm512_max_epu16(most, v);
  }
  const __m512i words = _mm512_set1_epi32(0xffff);
  return {_mm512_reduce_min_epu32(_mm512_min_epu32(
              _mm512_and_si512(least, words), _mm512_srli_epi32(least, 16))),
          _mm512_reduce_max_epu32(_mm512_max_epu32(
              _mm512_and_si512(most, words), _mm512_srli_epi32(most, 16)))};
}

}  // namespace

TIMBRE_AVX512 uint16_t KthSmallest(const uint16_t* values, size_t n, size_t k,
                                   size_t enough) {
  auto [low, high] = RangeOf(values, n);
  while (low < high) {
    const uint32_t middle = (low + high) / 2;
    const size_t count = CountAtMost(values, n, static_cast<uint16_t>(middle));
    if (count >= k && count <= enough) return static_cast<uint16_t>(middle);
    low = count < k ? middle + 1 : low;
    high = count < k ? high : middle;
  }
  return static_cast<uint16_t>(low);
}

TIMBRE_AVX512 size_t Collect(const uint16_t* values, size_t n, uint16_t limit,
                             size_t most, uint32_t* positions) {
  const __m512i limits = _mm512_set1_epi16(static_cast<int16_t>(limit));
  size_t count = 0;
  size_t i = 0;
  for (; i + 32 <= n && count < most; i += 32) {
    count = Append(AtMost(values + i, limits), i, count, most, positions);
  }
  if (i < n) {
    count = Append(AtMostTail(values + i, n - i, limits), i, count, most,
                   positions);
  }
  return count;
}

TIMBRE_AVX512 void StridedMinima(const uint16_t* values, size_t n, size_t lanes,
                                 uint16_t* minima) {
  const __m512i none = _mm512_set1_epi16(-1);
  for (size_t lane = 0; lane < lanes; lane += 32) {
    __m512i least = none;
    size_t i = lane;
    for (; i + 32 <= n; i += lanes) {
      least = _mm512_min_epu16(least, _mm512_loadu_si512(values + i));
    }
    if (i < n) {
      least = _mm512_min_epu16(
          least, _mm512_mask_loadu_epi16(none, Tail32(n - i), values + i));
    }
    _mm512_storeu_si512(minima + lane, least);
  }
}

TIMBRE_AVX512 void Rank(const float* scores, size_t n, uint8_t* ranks) {
  __m512 all[kMaxRanked / 16];
  __mmask16 used[kMaxRanked / 16];
  for (size_t v = 0; v < kMaxRanked / 16; ++v) {
    used[v] = 16 * v < n ? Tail16(n - 16 * v) : 0;
    all[v] = _mm512_maskz_loadu_ps(used[v], scores + 16 * v);
  }
  for (size_t i = 0; i < n; ++i) {
    const __m512 score = _mm512_set1_ps(scores[i]);
    int below = 0;
#pragma GCC unroll 4
    for (size_t v = 0; v < kMaxRanked / 16; ++v) {
      below += std::popcount(static_cast<uint32_t>(
          _mm512_mask_cmp_ps_mask(used[v], all[v], score, _CMP_LT_OQ)));
    }
    ranks[i] = static_cast<uint8_t>(below);
  }
}

}  // namespace timbre::avx512

#endif  // defined(__x86_64__)
