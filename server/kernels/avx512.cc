// AVX-512 F, BW, DQ, VL. Target attributes for the same reason as in avx2.cc.
#include "server/kernels/tables.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "server/base/half.h"

#define TIMBRE_AVX512 \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma,f16c")))

namespace timbre {
namespace {

TIMBRE_AVX512 inline __mmask16 Tail(size_t left) {
  return static_cast<__mmask16>((1U << left) - 1U);
}

TIMBRE_AVX512 inline __m512 Load(const float* p) { return _mm512_loadu_ps(p); }
TIMBRE_AVX512 inline __m512 Load(const uint16_t* p) {
  return _mm512_cvtph_ps(
      _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
TIMBRE_AVX512 inline __m512 LoadTail(const float* p, size_t left) {
  return _mm512_maskz_loadu_ps(Tail(left), p);
}
TIMBRE_AVX512 inline __m512 LoadTail(const uint16_t* p, size_t left) {
  return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(Tail(left), p));
}

template <bool kDifference>
TIMBRE_AVX512 inline __m512 Step(__m512 a, __m512 b, __m512 sum) {
  if constexpr (kDifference) {
    const __m512 d = _mm512_sub_ps(a, b);
    return _mm512_fmadd_ps(d, d, sum);
  } else {
    return _mm512_fmadd_ps(a, b, sum);
  }
}

template <typename B, bool kDifference>
TIMBRE_AVX512 float Reduce(const float* a, const B* b, size_t n) {
  __m512 s0 = _mm512_setzero_ps();
  __m512 s1 = s0;
  __m512 s2 = s0;
  __m512 s3 = s0;
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    s0 = Step<kDifference>(Load(a + i), Load(b + i), s0);
    s1 = Step<kDifference>(Load(a + i + 16), Load(b + i + 16), s1);
    s2 = Step<kDifference>(Load(a + i + 32), Load(b + i + 32), s2);
    s3 = Step<kDifference>(Load(a + i + 48), Load(b + i + 48), s3);
  }
  for (; i + 16 <= n; i += 16) {
    s0 = Step<kDifference>(Load(a + i), Load(b + i), s0);
  }
  if (i < n) {
    s1 = Step<kDifference>(LoadTail(a + i, n - i), LoadTail(b + i, n - i), s1);
  }
  return _mm512_reduce_add_ps(
      _mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3)));
}

TIMBRE_AVX512 void HalfToFloats(const uint16_t* in, size_t n, float* out) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) _mm512_storeu_ps(out + i, Load(in + i));
  if (i < n) {
    _mm512_mask_storeu_ps(out + i, Tail(n - i), LoadTail(in + i, n - i));
  }
}

TIMBRE_AVX512 inline __m256i Halves(__m512 x) {
  // min(limit, NaN) is NaN: the second operand wins where one is NaN.
  const __m512 magnitude =
      _mm512_min_ps(_mm512_set1_ps(kHalfMax), _mm512_abs_ps(x));
  const __m512 sign = _mm512_and_ps(x, _mm512_set1_ps(-0.0F));
  return _mm512_cvtps_ph(_mm512_or_ps(magnitude, sign),
                         _MM_FROUND_TO_NEAREST_INT);
}

TIMBRE_AVX512 void FloatToHalves(const float* in, size_t n, uint16_t* out) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i),
                        Halves(Load(in + i)));
  }
  if (i < n) {
    _mm256_mask_storeu_epi16(out + i, Tail(n - i),
                             Halves(LoadTail(in + i, n - i)));
  }
}

// As in avx2.cc: whole words, and the high bytes alone.
struct WordSums {
  __m512i even;
  __m512i odd;
};

TIMBRE_AVX512 inline void AddBytes(__m512i v, WordSums& sums) {
  sums.even = _mm512_add_epi16(sums.even, v);
  sums.odd = _mm512_add_epi16(sums.odd, _mm512_srli_epi16(v, 8));
}

// The sum of the four 128-bit quarters.
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

TIMBRE_AVX512 void ScanCodes(const uint8_t* tables, const uint8_t* blocks,
                             size_t count, size_t m, uint16_t* sums) {
  const __m512i nibble = _mm512_set1_epi8(15);
  const __m512i zero = _mm512_setzero_si512();
  for (size_t block = 0; block < count; ++block, sums += kCodesPerBlock) {
    WordSums low{zero, zero};
    WordSums high{zero, zero};
    for (size_t r = 0; r < m; r += 4, blocks += 64) {
      const __m512i codes = _mm512_loadu_si512(blocks);
      const __m512i table = _mm512_loadu_si512(tables + 16 * r);
      AddBytes(_mm512_shuffle_epi8(table, _mm512_and_si512(codes, nibble)),
               low);
      AddBytes(
          _mm512_shuffle_epi8(
              table, _mm512_and_si512(_mm512_srli_epi16(codes, 4), nibble)),
          high);
    }
    StoreSums(low, sums);
    StoreSums(high, sums + 16);
  }
}

}  // namespace

const KernelTable kAvx512Kernels = {
    .name = "avx512",
    .dot = &Reduce<float, false>,
    .squared_l2 = &Reduce<float, true>,
    .dot_half = &Reduce<uint16_t, false>,
    .squared_l2_half = &Reduce<uint16_t, true>,
    .half_to_float = &HalfToFloats,
    .float_to_half = &FloatToHalves,
    .scan_codes = &ScanCodes,
};

}  // namespace timbre

#endif  // defined(__x86_64__)
