// AVX2, FMA and F16C. Target attributes instead of compiler flags for the
// file: no inline function of a header can be compiled for a newer CPU here
// and then be chosen by the linker for everyone.
#include "server/kernels/tables.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "server/base/half.h"

#define TIMBRE_AVX2 __attribute__((target("avx2,fma,f16c")))

namespace timbre {
namespace {

TIMBRE_AVX2 inline __m256 Load(const float* p) { return _mm256_loadu_ps(p); }
TIMBRE_AVX2 inline __m256 Load(const uint16_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline float Scalar(const float* p) { return *p; }
inline float Scalar(const uint16_t* p) { return HalfToFloat(*p); }

TIMBRE_AVX2 inline float Sum(__m256 v) {
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  x = _mm_add_ss(x, _mm_movehdup_ps(x));
  return _mm_cvtss_f32(x);
}

template <bool kDifference>
TIMBRE_AVX2 inline __m256 Step(__m256 a, __m256 b, __m256 sum) {
  if constexpr (kDifference) {
    const __m256 d = _mm256_sub_ps(a, b);
    return _mm256_fmadd_ps(d, d, sum);
  } else {
    return _mm256_fmadd_ps(a, b, sum);
  }
}

template <typename B, bool kDifference>
TIMBRE_AVX2 float Reduce(const float* a, const B* b, size_t n) {
  // Four chains hide the latency of the multiply-add.
  __m256 s0 = _mm256_setzero_ps();
  __m256 s1 = s0;
  __m256 s2 = s0;
  __m256 s3 = s0;
  size_t i = 0;
  for (; i + 32 <= n; i += 32) {
    s0 = Step<kDifference>(Load(a + i), Load(b + i), s0);
    s1 = Step<kDifference>(Load(a + i + 8), Load(b + i + 8), s1);
    s2 = Step<kDifference>(Load(a + i + 16), Load(b + i + 16), s2);
    s3 = Step<kDifference>(Load(a + i + 24), Load(b + i + 24), s3);
  }
  for (; i + 8 <= n; i += 8) {
    s0 = Step<kDifference>(Load(a + i), Load(b + i), s0);
  }
  float sum = Sum(_mm256_add_ps(_mm256_add_ps(s0, s1), _mm256_add_ps(s2, s3)));
  for (; i < n; ++i) {
    const float y = Scalar(b + i);
    sum += kDifference ? (a[i] - y) * (a[i] - y) : a[i] * y;
  }
  return sum;
}

TIMBRE_AVX2 void HalfToFloats(const uint16_t* in, size_t n, float* out) {
  size_t i = 0;
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(out + i, Load(in + i));
  for (; i < n; ++i) out[i] = HalfToFloat(in[i]);
}

TIMBRE_AVX2 void FloatToHalves(const float* in, size_t n, uint16_t* out) {
  const __m256 limit = _mm256_set1_ps(kHalfMax);
  const __m256 sign = _mm256_set1_ps(-0.0F);
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m256 x = Load(in + i);
    // min(limit, NaN) is NaN: the second operand wins where one is NaN.
    const __m256 magnitude = _mm256_min_ps(limit, _mm256_andnot_ps(sign, x));
    const __m256 clamped = _mm256_or_ps(magnitude, _mm256_and_ps(sign, x));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i),
                     _mm256_cvtps_ph(clamped, _MM_FROUND_TO_NEAREST_INT));
  }
  for (; i < n; ++i) out[i] = FloatToHalf(in[i]);
}

// Adds the bytes of v to 16-bit sums: `even` gathers whole words (the odd
// bytes' share is taken out at the end), `odd` the high bytes alone.
struct WordSums {
  __m256i even;
  __m256i odd;
};

TIMBRE_AVX2 inline void AddBytes(__m256i v, WordSums& sums) {
  sums.even = _mm256_add_epi16(sums.even, v);
  sums.odd = _mm256_add_epi16(sums.odd, _mm256_srli_epi16(v, 8));
}

// The 16 sums of a WordSums, in order of the bytes.
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

TIMBRE_AVX2 void ScanCodes(const uint8_t* tables, const uint8_t* blocks,
                           size_t count, size_t m, uint16_t* sums) {
  const __m256i nibble = _mm256_set1_epi8(15);
  const __m256i zero = _mm256_setzero_si256();
  for (size_t block = 0; block < count; ++block, sums += kCodesPerBlock) {
    WordSums low{zero, zero};
    WordSums high{zero, zero};
    for (size_t r = 0; r < m; r += 2, blocks += 32) {
      const __m256i codes =
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(blocks));
      const __m256i table =
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tables + 16 * r));
      AddBytes(_mm256_shuffle_epi8(table, _mm256_and_si256(codes, nibble)),
               low);
      AddBytes(
          _mm256_shuffle_epi8(
              table, _mm256_and_si256(_mm256_srli_epi16(codes, 4), nibble)),
          high);
    }
    StoreSums(low, sums);
    StoreSums(high, sums + 16);
  }
}

}  // namespace

const KernelTable kAvx2Kernels = {
    .name = "avx2",
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
