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
inline size_t Append(uint32_t bits, size_t first, size_t count, size_t most,
                     uint32_t* positions) {
  for (; bits != 0 && count < most; bits &= bits - 1) {
    positions[count++] = static_cast<uint32_t>(
        first + static_cast<size_t>(std::countr_zero(bits)));
  }
  return count;
}

}  // namespace

TIMBRE_AVX512 size_t CountAtMost(const uint16_t* values, size_t n,
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
  __m512 all[kMostRanked / 16];
  __mmask16 used[kMostRanked / 16];
  for (size_t v = 0; v < kMostRanked / 16; ++v) {
    used[v] = 16 * v < n ? Tail16(n - 16 * v) : 0;
    all[v] = _mm512_maskz_loadu_ps(used[v], scores + 16 * v);
  }
  for (size_t i = 0; i < n; ++i) {
    const __m512 score = _mm512_set1_ps(scores[i]);
    int below = 0;
#pragma GCC unroll 4
    for (size_t v = 0; v < kMostRanked / 16; ++v) {
      below += std::popcount(static_cast<uint32_t>(
          _mm512_mask_cmp_ps_mask(used[v], all[v], score, _CMP_LT_OQ)));
    }
    ranks[i] = static_cast<uint8_t>(below);
  }
}

}  // namespace timbre::avx512

#endif  // defined(__x86_64__)
