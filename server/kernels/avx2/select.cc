#include "server/kernels/avx2/avx2.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

#include "server/kernels/avx2/target.h"

namespace timbre::avx2 {
namespace {

// For every byte the places of its bits, lowest first, a byte each.
constexpr std::array<uint64_t, 256> PlacesOfBits() {
  std::array<uint64_t, 256> places{};
  for (unsigned bits = 0; bits < 256; ++bits) {
    unsigned count = 0;
    for (uint64_t bit = 0; bit < 8; ++bit) {
      if ((bits >> bit & 1U) != 0) places[bits] |= bit << (8 * count++);
    }
  }
  return places;
}
alignas(64) constexpr std::array<uint64_t, 256> kPlacesOfBits = PlacesOfBits();

// Appends first + i for every bit i of a byte, without a branch that depends on
// them; writes eight numbers. Returns the new count.
TIMBRE_AVX2 inline size_t Append(uint32_t bits, size_t first, size_t count,
                                 uint32_t* positions) {
  const __m256i places = _mm256_cvtepu8_epi32(
      _mm_cvtsi64_si128(static_cast<int64_t>(kPlacesOfBits[bits])));
  _mm256_storeu_si256(
      reinterpret_cast<__m256i*>(positions + count),
      _mm256_add_epi32(places, _mm256_set1_epi32(static_cast<int>(first))));
  return count + static_cast<size_t>(std::popcount(bits));
}

// Bit i for each of 16 values that is <= its limit.
TIMBRE_AVX2 inline uint32_t AtMost(const uint16_t* values, __m256i limit) {
  const __m256i v =
      _mm256_loadu_si256(reinterpret_cast<const __m256i*>(values));
  const __m256i within = _mm256_cmpeq_epi16(_mm256_min_epu16(v, limit), v);
  return static_cast<uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(
      _mm256_castsi256_si128(within), _mm256_extracti128_si256(within, 1))));
}

TIMBRE_AVX2 inline size_t CountAtMost(const uint16_t* values, size_t n,
                                      uint16_t limit) {
  const __m256i limits = _mm256_set1_epi16(static_cast<int16_t>(limit));
  size_t count = 0;
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    count += static_cast<size_t>(std::popcount(AtMost(values + i, limits)));
  }
  for (; i < n; ++i) count += values[i] <= limit ? 1 : 0;
  return count;
}

struct Range {
  uint16_t least;
  uint16_t most;
};

TIMBRE_AVX2 inline Range RangeOf(const uint16_t* values, size_t n) {
  __m256i least = _mm256_set1_epi16(-1);
  __m256i most = _mm256_setzero_si256();
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const __m256i v =
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(values + i));
    least = _mm256_min_epu16(least, v);
    most = _mm256_max_epu16(most, v);
  }
  // minpos finds the smallest of eight: of the complements, the largest.
  least = _mm256_min_epu16(least, _mm256_permute2x128_si256(least, least, 1));
  most = _mm256_max_epu16(most, _mm256_permute2x128_si256(most, most, 1));
  const __m128i none = _mm_set1_epi16(-1);
  Range range = {
      static_cast<uint16_t>(_mm_extract_epi16(
          _mm_minpos_epu16(_mm256_castsi256_si128(least)), 0)),
      static_cast<uint16_t>(~_mm_extract_epi16(
          _mm_minpos_epu16(_mm_xor_si128(_mm256_castsi256_si128(most), none)),
          0))};
  for (; i < n; ++i) {
    range.least = std::min(range.least, values[i]);
    range.most = std::max(range.most, values[i]);
  }
  return range;
}

}  // namespace

TIMBRE_AVX2 uint16_t KthSmallest(const uint16_t* values, size_t n, size_t k,
                                 size_t enough) {
  const Range range = RangeOf(values, n);
  uint32_t low = range.least;
  uint32_t high = range.most;
  while (low < high) {
    const uint32_t middle = (low + high) / 2;
    const size_t count = CountAtMost(values, n, static_cast<uint16_t>(middle));
    if (count >= k && count <= enough) return static_cast<uint16_t>(middle);
    low = count < k ? middle + 1 : low;
    high = count < k ? high : middle;
  }
  return static_cast<uint16_t>(low);
}

TIMBRE_AVX2 size_t Collect(const uint16_t* values, size_t n, uint16_t limit,
                           size_t most, uint32_t* positions) {
  const __m256i limits = _mm256_set1_epi16(static_cast<int16_t>(limit));
  size_t count = 0;
  size_t i = 0;
  for (; i + 16 <= n && count + 16 <= most; i += 16) {
    const uint32_t bits = AtMost(values + i, limits);
    count = Append(bits & 255U, i, count, positions);
    count = Append(bits >> 8, i + 8, count, positions);
  }
  for (; i + 16 <= n && count < most; i += 16) {
    for (uint32_t bits = AtMost(values + i, limits); bits != 0 && count < most;
         bits &= bits - 1) {
      positions[count++] = static_cast<uint32_t>(
          i + static_cast<size_t>(std::countr_zero(bits)));
    }
  }
  for (; i < n && count < most; ++i) {
    if (values[i] <= limit) positions[count++] = static_cast<uint32_t>(i);
  }
  return count;
}

TIMBRE_AVX2 void StridedMinima(const uint16_t* values, size_t n, size_t lanes,
                               uint16_t* minima) {
  for (size_t lane = 0; lane < lanes; lane += 16) {
    __m256i least = _mm256_set1_epi16(-1);
    size_t i = lane;
    for (; i + 16 <= n; i += lanes) {
      least = _mm256_min_epu16(
          least,
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(values + i)));
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(minima + lane), least);
    for (size_t j = 0; i + j < n && j < 16; ++j) {
      minima[lane + j] = std::min(minima[lane + j], values[i + j]);
    }
  }
}

TIMBRE_AVX2 void Rank(const float* scores, size_t n, uint8_t* ranks) {
  // Infinity is below nothing.
  alignas(32) float padded[kMaxRanked];
  std::fill(padded, padded + kMaxRanked,
            std::numeric_limits<float>::infinity());
  std::copy_n(scores, n, padded);
  for (size_t i = 0; i < n; ++i) {
    const __m256 score = _mm256_set1_ps(padded[i]);
    __m256i below = _mm256_setzero_si256();
    for (size_t j = 0; j < n; j += 8) {
      below = _mm256_sub_epi32(
          below, _mm256_castps_si256(_mm256_cmp_ps(_mm256_load_ps(padded + j),
                                                   score, _CMP_LT_OQ)));
    }
    const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(below),
                                       _mm256_extracti128_si256(below, 1));
    const __m128i two = _mm_add_epi32(four, _mm_srli_si128(four, 8));
    ranks[i] = static_cast<uint8_t>(_mm_extract_epi32(two, 0) +
                                    _mm_extract_epi32(two, 1));
  }
}

}  // namespace timbre::avx2

#endif  // defined(__x86_64__)
