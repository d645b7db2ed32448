#include "server/kernels/avx512/avx512.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "server/kernels/avx512/target.h"
#include "server/kernels/nearest_entries.h"

namespace timbre::avx512 {
namespace {

constexpr size_t kLanes = kSubQuantizersPerGroup;

// A frame's working memory: see the reference.
struct Work {
  float* spread;     // [groups][width][lane]
  float* distances;  // [groups][entry][lane], partial
  float* least;      // [groups][lane]
  float* spans;      // the same
};

// What SpreadFrame does, for sub-quantizers of two dimensions.
TIMBRE_AVX512 inline void SpreadPairs(const float* frame,
                                      const CodebookGroups& codebook,
                                      float* out) {
  // Lane 4 b + a is sub-quantizer 4 a + b.
  const __m512i first = _mm512_setr_epi32(0, 8, 16, 24, 2, 10, 18, 26, 4, 12,
                                          20, 28, 6, 14, 22, 30);
  const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(1));
  const __m512 factors = _mm512_set1_ps(codebook.factor);
  size_t left = 2 * codebook.sub_quantizers;
  for (size_t group = 0; group < codebook.groups; ++group, frame += 32) {
    const __m512 low = _mm512_maskz_loadu_ps(Tail16(left), frame);
    const __m512 high =
        _mm512_maskz_loadu_ps(left > 16 ? Tail16(left - 16) : 0, frame + 16);
    _mm512_storeu_ps(
        out, _mm512_mul_ps(_mm512_permutex2var_ps(low, first, high), factors));
    _mm512_storeu_ps(
        out + 16,
        _mm512_mul_ps(_mm512_permutex2var_ps(low, second, high), factors));
    out += 32;
    left -= left < 32 ? left : 32;
  }
}

// The sixteen entries' partial distances of one group for kFrames frames, side
// by side: they share the loads of the codebook. kWidth 0: any.
template <size_t kFrames, size_t kWidth>
TIMBRE_AVX512 inline const float* FillGroup(const CodebookGroups& codebook,
                                            const float* values, size_t group,
                                            const Work* work, __m512* spans) {
  const size_t width = kWidth > 0 ? kWidth : codebook.width;
  // With the width a constant the frames stay in registers.
  __m512 x[kFrames][kWidth > 0 ? kWidth : 1];
  for (size_t q = 0; q < kFrames; ++q) {
    for (size_t s = 0; s < kWidth; ++s) {
      x[q][s] = _mm512_loadu_ps(work[q].spread + (group * width + s) * kLanes);
    }
  }
  __m512 least[kFrames];
  __m512 most[kFrames];
  for (size_t entry = 0; entry < kEntries; ++entry) {
    __m512 distances[kFrames];
    const __m512 constant = _mm512_loadu_ps(values);
    values += kLanes;
    for (size_t q = 0; q < kFrames; ++q) distances[q] = constant;
    for (size_t s = 0; s < width; ++s, values += kLanes) {
      const __m512 number = _mm512_loadu_ps(values);
      for (size_t q = 0; q < kFrames; ++q) {
        const __m512 factor =
            kWidth > 0 ? x[q][s]
                       : _mm512_loadu_ps(work[q].spread +
                                         (group * width + s) * kLanes);
        distances[q] =
            _mm512_sub_ps(distances[q], _mm512_mul_ps(factor, number));
      }
    }
    for (size_t q = 0; q < kFrames; ++q) {
      least[q] =
          entry == 0 ? distances[q] : _mm512_min_ps(least[q], distances[q]);
      most[q] =
          entry == 0 ? distances[q] : _mm512_max_ps(most[q], distances[q]);
      _mm512_storeu_ps(work[q].distances + (group * kEntries + entry) * kLanes,
                       distances[q]);
    }
  }
  for (size_t q = 0; q < kFrames; ++q) {
    _mm512_storeu_ps(work[q].least + group * kLanes, least[q]);
    spans[q] = _mm512_sub_ps(most[q], least[q]);
    _mm512_storeu_ps(work[q].spans + group * kLanes, spans[q]);
  }
  return values;
}

// How distances of 16 sub-quantizers become entries: (distance - from) * scale,
// rounded; mirrored, what is left of `top`.
struct RowScale {
  __m512 from;
  __m512 scale;
  __m512i top;
  bool mirrored;
};

TIMBRE_AVX512 inline RowScale ScaleRows(const CodebookGroups& codebook,
                                        __m512 least, __m512 span,
                                        __m512 scale) {
  const __m512i top = _mm512_cvttps_epi32(
      _mm512_add_ps(_mm512_mul_ps(span, scale), _mm512_set1_ps(0.5F)));
  if (!codebook.mirrored) return {least, scale, top, false};
  return {_mm512_add_ps(least, span), _mm512_sub_ps(_mm512_setzero_ps(), scale),
          top, true};
}

TIMBRE_AVX512 inline __m512i Entries(const float* distances,
                                     const RowScale& rows) {
  const __m512 x = _mm512_sub_ps(_mm512_loadu_ps(distances), rows.from);
  const __m512i entries = _mm512_cvttps_epi32(
      _mm512_add_ps(_mm512_mul_ps(x, rows.scale), _mm512_set1_ps(0.5F)));
  return rows.mirrored ? _mm512_sub_epi32(rows.top, entries) : entries;
}

// Four entries of 16 sub-quantizers as bytes: in each 128-bit lane four
// sub-quantizers, and of each its four entries side by side.
TIMBRE_AVX512 inline __m512i QuantizeEntries(const float* distances,
                                             const RowScale& rows) {
  __m512i entries[4];
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; ++i) {
    entries[i] = Entries(distances + i * kLanes, rows);
  }
  const __m512i bytes =
      _mm512_packus_epi16(_mm512_packus_epi32(entries[0], entries[1]),
                          _mm512_packus_epi32(entries[2], entries[3]));
  const __m128i transpose =
      _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_shuffle_epi8(bytes, _mm512_broadcast_i32x4(transpose));
}

// 16 rows of 16 entries. LaneOf puts rows 4 i ... 4 i + 3 into dword i of the
// four 128-bit lanes.
TIMBRE_AVX512 inline void WriteRows(const float* distances,
                                    const RowScale& scale, uint8_t* rows) {
  __m512i e[4];
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; ++i) {
    e[i] = QuantizeEntries(distances + 4 * i * kLanes, scale);
  }
  const __m512i low01 = _mm512_unpacklo_epi32(e[0], e[1]);
  const __m512i low23 = _mm512_unpacklo_epi32(e[2], e[3]);
  const __m512i high01 = _mm512_unpackhi_epi32(e[0], e[1]);
  const __m512i high23 = _mm512_unpackhi_epi32(e[2], e[3]);
  _mm512_storeu_si512(rows, _mm512_unpacklo_epi64(low01, low23));
  _mm512_storeu_si512(rows + 64, _mm512_unpackhi_epi64(low01, low23));
  _mm512_storeu_si512(rows + 128, _mm512_unpacklo_epi64(high01, high23));
  _mm512_storeu_si512(rows + 192, _mm512_unpackhi_epi64(high01, high23));
}

template <size_t kFrames, size_t kWidth>
TIMBRE_AVX512 inline void Fill(const CodebookGroups& codebook,
                               const float* const* frames, float* memory,
                               uint8_t* const* tables) {
  Work work[kFrames];
  for (size_t q = 0; q < kFrames; ++q) {
    float* const spread = memory + q * TableWork(codebook);
    float* const distances = spread + codebook.groups * codebook.width * kLanes;
    float* const least = distances + codebook.groups * kEntries * kLanes;
    work[q] = {spread, distances, least, least + codebook.groups * kLanes};
    if (kWidth == 2) {
      SpreadPairs(frames[q], codebook, spread);
    } else {
      SpreadFrame(frames[q], codebook, spread);
    }
  }
  __m512 widest[kFrames] = {};
  __m512 total[kFrames] = {};
  const float* values = codebook.values;
  for (size_t group = 0; group < codebook.groups; ++group) {
    __m512 spans[kFrames];
    values = FillGroup<kFrames, kWidth>(codebook, values, group, work, spans);
    for (size_t q = 0; q < kFrames; ++q) {
      widest[q] = _mm512_max_ps(widest[q], spans[q]);
      total[q] = _mm512_add_ps(total[q], spans[q]);
    }
  }
  for (size_t q = 0; q < kFrames; ++q) {
    const __m512 scale =
        _mm512_set1_ps(TableScale(codebook, _mm512_reduce_max_ps(widest[q]),
                                  _mm512_reduce_add_ps(total[q])));
    for (size_t group = 0; group < codebook.groups; ++group) {
      WriteRows(
          work[q].distances + group * kEntries * kLanes,
          ScaleRows(codebook, _mm512_loadu_ps(work[q].least + group * kLanes),
                    _mm512_loadu_ps(work[q].spans + group * kLanes), scale),
          tables[q] + group * kLanes * kEntries);
    }
  }
}

template <size_t kFrames>
TIMBRE_AVX512 inline void FillAny(const CodebookGroups& codebook,
                                  const float* const* frames, float* memory,
                                  uint8_t* const* tables) {
  if (codebook.width == 2) {
    return Fill<kFrames, 2>(codebook, frames, memory, tables);
  }
  Fill<kFrames, 0>(codebook, frames, memory, tables);
}

// Adds the bytes of v to 16-bit sums: `even` gathers whole words (the odd
// bytes' share is taken out at the end), `odd` the high bytes alone.
struct WordSums {
  __m512i even;
  __m512i odd;
};

TIMBRE_AVX512 inline void AddBytes(__m512i v, WordSums& sums) {
  sums.even = _mm512_add_epi16(sums.even, v);
  sums.odd = _mm512_add_epi16(sums.odd, _mm512_srli_epi16(v, 8));
}

// The sum of the four 128-bit lanes.
TIMBRE_AVX512 inline __m128i Fold(__m512i v) {
  const __m256i half = _mm256_add_epi16(_mm512_castsi512_si256(v),
                                        _mm512_extracti64x4_epi64(v, 1));
  return _mm_add_epi16(_mm256_castsi256_si128(half),
                       _mm256_extracti128_si256(half, 1));
}

TIMBRE_AVX512 inline void StoreSums(const WordSums& sums, uint16_t* out) {
  const __m128i e =
      Fold(_mm512_sub_epi16(sums.even, _mm512_slli_epi16(sums.odd, 8)));
  const __m128i o = Fold(sums.odd);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_unpacklo_epi16(e, o));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 8),
                   _mm_unpackhi_epi16(e, o));
}

// kBlocks blocks at once: they share the loads of the tables.
template <size_t kBlocks>
TIMBRE_AVX512 inline void Scan(const uint8_t* tables, const uint8_t* blocks,
                               size_t octets, uint16_t* sums) {
  const __m512i nibble = _mm512_set1_epi8(15);
  WordSums words[kBlocks] = {};
  for (size_t octet = 0; octet < octets; ++octet, tables += 2 * kOctetBytes) {
    const __m512i low = _mm512_loadu_si512(tables);
    const __m512i high = _mm512_loadu_si512(tables + kOctetBytes);
#pragma GCC unroll 4
    for (size_t b = 0; b < kBlocks; ++b) {
      const __m512i codes =
          _mm512_loadu_si512(blocks + (b * octets + octet) * kOctetBytes);
      AddBytes(_mm512_shuffle_epi8(low, _mm512_and_si512(codes, nibble)),
               words[b]);
      AddBytes(_mm512_shuffle_epi8(
                   high, _mm512_and_si512(_mm512_srli_epi16(codes, 4), nibble)),
               words[b]);
    }
  }
  for (size_t b = 0; b < kBlocks; ++b) {
    StoreSums(words[b], sums + b * kCodesPerBlock);
  }
}

}  // namespace

TIMBRE_AVX512 void FillTables(const CodebookGroups& codebook,
                              const float* const* frames, size_t count,
                              float* work, uint8_t* const* tables) {
  if (count == 1) return FillAny<1>(codebook, frames, work, tables);
  FillAny<2>(codebook, frames, work, tables);
}

TIMBRE_AVX512 void ScanCodes(const uint8_t* tables, const uint8_t* blocks,
                             size_t count, size_t octets, uint16_t* sums) {
  const size_t block_bytes = octets * kOctetBytes;
  size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    Scan<4>(tables, blocks + i * block_bytes, octets,
            sums + i * kCodesPerBlock);
  }
  for (; i < count; ++i) {
    Scan<1>(tables, blocks + i * block_bytes, octets,
            sums + i * kCodesPerBlock);
  }
}

TIMBRE_AVX512 void NearestEntries(const float* points, size_t stride,
                                  size_t count, size_t width,
                                  const float* entries, uint8_t* digits) {
  NearestEntriesOf(points, stride, count, width, entries, digits);
}

}  // namespace timbre::avx512

#endif  // defined(__x86_64__)
