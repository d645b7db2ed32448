#include "server/kernels/avx2/avx2.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "server/kernels/avx2/target.h"
#include "server/kernels/nearest_entries.h"

namespace timbre::avx2 {
namespace {

constexpr size_t kLanes = kSubQuantizersPerGroup;
constexpr size_t kHalfOctet = kOctetBytes / 2;

// The even and the odd ones of eight numbers.
struct Halves {
  __m128 even;
  __m128 odd;
};

TIMBRE_AVX2 inline Halves SplitPairs(const float* pairs) {
  const __m128 a = _mm_loadu_ps(pairs);
  const __m128 b = _mm_loadu_ps(pairs + 4);
  return {_mm_shuffle_ps(a, b, _MM_SHUFFLE(2, 0, 2, 0)),
          _mm_shuffle_ps(a, b, _MM_SHUFFLE(3, 1, 3, 1))};
}

// What SpreadFrame does, for full groups of sub-quantizers of two dimensions:
// lane 4 b + a is sub-quantizer 4 a + b.
TIMBRE_AVX2 inline void SpreadPairs(const float* frame,
                                    const CodebookGroups& codebook,
                                    float* out) {
  const __m128 factor = _mm_set1_ps(codebook.factor);
  for (size_t group = 0; group < codebook.groups; ++group, frame += 32) {
    Halves h0 = SplitPairs(frame);
    Halves h1 = SplitPairs(frame + 8);
    Halves h2 = SplitPairs(frame + 16);
    Halves h3 = SplitPairs(frame + 24);
    _MM_TRANSPOSE4_PS(h0.even, h1.even, h2.even, h3.even);
    _MM_TRANSPOSE4_PS(h0.odd, h1.odd, h2.odd, h3.odd);
    for (const __m128 v :
         {h0.even, h1.even, h2.even, h3.even, h0.odd, h1.odd, h2.odd, h3.odd}) {
      _mm_storeu_ps(out, _mm_mul_ps(v, factor));
      out += 4;
    }
  }
}

TIMBRE_AVX2 inline void Spread(const float* frame,
                               const CodebookGroups& codebook, float* out) {
  if (codebook.width == 2 &&
      codebook.sub_quantizers == kLanes * codebook.groups) {
    return SpreadPairs(frame, codebook, out);
  }
  SpreadFrame(frame, codebook, out);
}

// Partial distances of lanes [half, half + 8) of a group; returns their spans.
// kWidth 0: any.
template <size_t kWidth>
TIMBRE_AVX2 inline __m256 FillHalf(const CodebookGroups& codebook,
                                   const float* values, const float* frame,
                                   float* distances, float* least_out) {
  const size_t width = kWidth > 0 ? kWidth : codebook.width;
  // With the width a constant the frame stays in registers.
  __m256 x[kWidth > 0 ? kWidth : 1];
  for (size_t s = 0; s < kWidth; ++s) {
    x[s] = _mm256_loadu_ps(frame + s * kLanes);
  }
  __m256 least = _mm256_setzero_ps();
  __m256 most = least;
  for (size_t entry = 0; entry < kEntries; ++entry) {
    __m256 distance = _mm256_loadu_ps(values);
    values += kLanes;
    for (size_t s = 0; s < width; ++s, values += kLanes) {
      const __m256 factor =
          kWidth > 0 ? x[s] : _mm256_loadu_ps(frame + s * kLanes);
      distance = _mm256_sub_ps(distance,
                               _mm256_mul_ps(factor, _mm256_loadu_ps(values)));
    }
    least = entry == 0 ? distance : _mm256_min_ps(least, distance);
    most = entry == 0 ? distance : _mm256_max_ps(most, distance);
    _mm256_storeu_ps(distances + entry * kLanes, distance);
  }
  _mm256_storeu_ps(least_out, least);
  return _mm256_sub_ps(most, least);
}

// How distances of 8 sub-quantizers become entries: (distance - from) * scale,
// rounded; mirrored, what is left of `top`.
struct RowScale {
  __m256 from;
  __m256 scale;
  __m256i top;
  bool mirrored;
};

TIMBRE_AVX2 inline RowScale ScaleRows(const CodebookGroups& codebook,
                                      __m256 least, __m256 span, __m256 scale) {
  const __m256i top = _mm256_cvttps_epi32(
      _mm256_add_ps(_mm256_mul_ps(span, scale), _mm256_set1_ps(0.5F)));
  if (!codebook.mirrored) return {least, scale, top, false};
  return {_mm256_add_ps(least, span), _mm256_sub_ps(_mm256_setzero_ps(), scale),
          top, true};
}

TIMBRE_AVX2 inline __m256i Entries(const float* distances,
                                   const RowScale& rows) {
  const __m256 x = _mm256_sub_ps(_mm256_loadu_ps(distances), rows.from);
  const __m256i entries = _mm256_cvttps_epi32(
      _mm256_add_ps(_mm256_mul_ps(x, rows.scale), _mm256_set1_ps(0.5F)));
  return rows.mirrored ? _mm256_sub_epi32(rows.top, entries) : entries;
}

// Four entries of 8 sub-quantizers as bytes: in each 128-bit lane four
// sub-quantizers, and of each its four entries side by side.
TIMBRE_AVX2 inline __m256i QuantizeEntries(const float* distances,
                                           const RowScale& rows) {
  __m256i entries[4];
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; ++i) {
    entries[i] = Entries(distances + i * kLanes, rows);
  }
  const __m256i bytes =
      _mm256_packus_epi16(_mm256_packus_epi32(entries[0], entries[1]),
                          _mm256_packus_epi32(entries[2], entries[3]));
  const __m256i transpose = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  return _mm256_shuffle_epi8(bytes, transpose);
}

// Rows 4 i and 4 i + 1 of 16 entries, i < 4: `rows` is where row 0 goes.
TIMBRE_AVX2 inline void WriteRows(const float* distances, const RowScale& scale,
                                  uint8_t* rows) {
  __m256i e[4];
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; ++i) {
    e[i] = QuantizeEntries(distances + 4 * i * kLanes, scale);
  }
  const __m256i low01 = _mm256_unpacklo_epi32(e[0], e[1]);
  const __m256i low23 = _mm256_unpacklo_epi32(e[2], e[3]);
  const __m256i high01 = _mm256_unpackhi_epi32(e[0], e[1]);
  const __m256i high23 = _mm256_unpackhi_epi32(e[2], e[3]);
  auto* const out = reinterpret_cast<__m256i*>(rows);
  _mm256_storeu_si256(out, _mm256_unpacklo_epi64(low01, low23));
  _mm256_storeu_si256(out + 2, _mm256_unpackhi_epi64(low01, low23));
  _mm256_storeu_si256(out + 4, _mm256_unpacklo_epi64(high01, high23));
  _mm256_storeu_si256(out + 6, _mm256_unpackhi_epi64(high01, high23));
}

template <size_t kWidth>
TIMBRE_AVX2 inline void Fill(const CodebookGroups& codebook, const float* frame,
                             float* work, uint8_t* tables) {
  const size_t group_floats = codebook.width * kLanes;
  float* const distances = work + codebook.groups * group_floats;
  float* const least = distances + codebook.groups * kEntries * kLanes;
  float* const spans_of = least + codebook.groups * kLanes;
  Spread(frame, codebook, work);
  __m256 widest = _mm256_setzero_ps();
  __m256 total[2] = {widest, widest};
  const float* values = codebook.values;
  for (size_t group = 0; group < codebook.groups; ++group) {
    for (size_t half = 0; half < 2; ++half) {
      const size_t lane = 8 * half;
      const __m256 spans = FillHalf<kWidth>(
          codebook, values + lane, work + group * group_floats + lane,
          distances + group * kEntries * kLanes + lane,
          least + group * kLanes + lane);
      _mm256_storeu_ps(spans_of + group * kLanes + lane, spans);
      widest = _mm256_max_ps(widest, spans);
      total[half] = _mm256_add_ps(total[half], spans);
    }
    values += kEntries * (1 + codebook.width) * kLanes;
  }
  const __m256 scale = _mm256_set1_ps(TableScale(
      codebook, Max(widest), Sum(_mm256_add_ps(total[0], total[1]))));
  for (size_t group = 0; group < codebook.groups; ++group) {
    for (size_t half = 0; half < 2; ++half) {
      const size_t lane = group * kLanes + 8 * half;
      WriteRows(distances + group * kEntries * kLanes + 8 * half,
                ScaleRows(codebook, _mm256_loadu_ps(least + lane),
                          _mm256_loadu_ps(spans_of + lane), scale),
                tables + group * kLanes * kEntries + 2 * half * kEntries);
    }
  }
}

// Adds the bytes of v to 16-bit sums: `even` gathers whole words (the odd
// bytes' share is taken out at the end), `odd` the high bytes alone.
struct WordSums {
  __m256i even;
  __m256i odd;
};

TIMBRE_AVX2 inline void AddBytes(__m256i v, WordSums& sums) {
  sums.even = _mm256_add_epi16(sums.even, v);
  sums.odd = _mm256_add_epi16(
      sums.odd, _mm256_maddubs_epi16(v, _mm256_set1_epi16(0x0100)));
}

TIMBRE_AVX2 inline void StoreSums(const WordSums& sums, uint16_t* out) {
  const __m256i even =
      _mm256_sub_epi16(sums.even, _mm256_slli_epi16(sums.odd, 8));
  const __m128i e = _mm_add_epi16(_mm256_castsi256_si128(even),
                                  _mm256_extracti128_si256(even, 1));
  const __m128i o = _mm_add_epi16(_mm256_castsi256_si128(sums.odd),
                                  _mm256_extracti128_si256(sums.odd, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_unpacklo_epi16(e, o));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 8),
                   _mm_unpackhi_epi16(e, o));
}

// Half an octet: two digits in the low and two in the high bits.
TIMBRE_AVX2 inline void ScanHalf(__m256i low, __m256i high,
                                 const uint8_t* blocks, WordSums& sums) {
  const __m256i nibble = _mm256_set1_epi8(15);
  const __m256i codes =
      _mm256_loadu_si256(reinterpret_cast<const __m256i*>(blocks));
  AddBytes(_mm256_shuffle_epi8(low, _mm256_and_si256(codes, nibble)), sums);
  AddBytes(_mm256_shuffle_epi8(
               high, _mm256_and_si256(_mm256_srli_epi16(codes, 4), nibble)),
           sums);
}

// kBlocks blocks at once: they share the loads of the tables.
template <size_t kBlocks>
TIMBRE_AVX2 inline void Scan(const uint8_t* tables, const uint8_t* blocks,
                             size_t octets, uint16_t* sums) {
  WordSums words[kBlocks] = {};
  for (size_t octet = 0; octet < octets; ++octet, tables += 2 * kOctetBytes) {
    for (size_t half = 0; half < kOctetBytes; half += kHalfOctet) {
      const __m256i low =
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tables + half));
      const __m256i high = _mm256_loadu_si256(
          reinterpret_cast<const __m256i*>(tables + kOctetBytes + half));
#pragma GCC unroll 4
      for (size_t b = 0; b < kBlocks; ++b) {
        ScanHalf(low, high, blocks + (b * octets + octet) * kOctetBytes + half,
                 words[b]);
      }
    }
  }
  for (size_t b = 0; b < kBlocks; ++b) {
    StoreSums(words[b], sums + b * kCodesPerBlock);
  }
}

}  // namespace

TIMBRE_AVX2 void FillTables(const CodebookGroups& codebook,
                            const float* const* frames, size_t count,
                            float* work, uint8_t* const* tables) {
  for (size_t q = 0; q < count; ++q) {
    if (codebook.width == 2) {
      Fill<2>(codebook, frames[q], work, tables[q]);
    } else {
      Fill<0>(codebook, frames[q], work, tables[q]);
    }
  }
}

TIMBRE_AVX2 void ScanCodes(const uint8_t* tables, const uint8_t* blocks,
                           size_t count, size_t octets, uint16_t* sums) {
  const size_t block_bytes = octets * kOctetBytes;
  size_t i = 0;
  for (; i + 2 <= count; i += 2) {
    Scan<2>(tables, blocks + i * block_bytes, octets,
            sums + i * kCodesPerBlock);
  }
  for (; i < count; ++i) {
    Scan<1>(tables, blocks + i * block_bytes, octets,
            sums + i * kCodesPerBlock);
  }
}

TIMBRE_AVX2 void NearestEntries(const float* points, size_t stride,
                                size_t count, size_t width,
                                const float* entries, uint8_t* digits) {
  NearestEntriesOf(points, stride, count, width, entries, digits);
}

}  // namespace timbre::avx2

#endif  // defined(__x86_64__)
