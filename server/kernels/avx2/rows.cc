#include "server/kernels/avx2/avx2.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "server/base/half.h"
#include "server/kernels/avx2/target.h"

namespace timbre::avx2 {
namespace {

TIMBRE_AVX2 inline __m256 Load(const float* p) { return _mm256_loadu_ps(p); }
TIMBRE_AVX2 inline __m256 Load(const uint16_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline float Scalar(const float* p) { return *p; }
inline float Scalar(const uint16_t* p) { return HalfToFloat(*p); }

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
TIMBRE_AVX2 inline float Reduce(const float* a, const B* b, size_t n) {
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

struct MixState {
  float rate;
  __m256 norm;
  __m256 shift;
};

TIMBRE_AVX2 inline __m256 MixColumns(__m256 mix, __m256 in, MixState& state) {
  const __m256 out =
      _mm256_fmadd_ps(_mm256_set1_ps(state.rate), mix,
                      _mm256_mul_ps(_mm256_set1_ps(1 - state.rate), in));
  const __m256 moved = _mm256_sub_ps(out, in);
  state.norm = _mm256_fmadd_ps(in, in, state.norm);
  state.shift = _mm256_fmadd_ps(moved, moved, state.shift);
  return out;
}

// The columns that fill no register.
template <typename B>
void MixTail(const float* frame, const B* const* rows, const float* weights,
             size_t count, float rate, size_t first, size_t n, float* out,
             MixNorms& norms) {
  for (size_t i = first; i < n; ++i) {
    float mix = 0;
    for (size_t r = 0; r < count; ++r) mix += weights[r] * Scalar(rows[r] + i);
    const float in = frame[i];
    out[i] = rate * mix + (1 - rate) * in;
    norms.squared_norm += in * in;
    norms.squared_shift += (out[i] - in) * (out[i] - in);
  }
}

template <typename B>
TIMBRE_AVX2 inline MixNorms Mix(const float* frame, const B* const* rows,
                                const float* weights, size_t count, float rate,
                                size_t n, float* out) {
  MixState state{rate, _mm256_setzero_ps(), _mm256_setzero_ps()};
  size_t i = 0;
  for (; i + 32 <= n; i += 32) {
    __m256 mix[4] = {};
    for (size_t r = 0; r < count; ++r) {
      const __m256 weight = _mm256_set1_ps(weights[r]);
      const B* const row = rows[r] + i;
      for (size_t v = 0; v < 4; ++v) {
        mix[v] = _mm256_fmadd_ps(weight, Load(row + 8 * v), mix[v]);
      }
    }
    for (size_t v = 0; v < 4; ++v) {
      const __m256 in = _mm256_loadu_ps(frame + i + 8 * v);
      _mm256_storeu_ps(out + i + 8 * v, MixColumns(mix[v], in, state));
    }
  }
  MixNorms norms{.squared_norm = Sum(state.norm),
                 .squared_shift = Sum(state.shift)};
  MixTail(frame, rows, weights, count, rate, i, n, out, norms);
  return norms;
}

}  // namespace

TIMBRE_AVX2 float Dot(const float* a, const float* b, size_t n) {
  return Reduce<float, false>(a, b, n);
}

TIMBRE_AVX2 float SquaredL2(const float* a, const float* b, size_t n) {
  return Reduce<float, true>(a, b, n);
}

TIMBRE_AVX2 float DotHalf(const float* a, const uint16_t* b, size_t n) {
  return Reduce<uint16_t, false>(a, b, n);
}

TIMBRE_AVX2 float SquaredL2Half(const float* a, const uint16_t* b, size_t n) {
  return Reduce<uint16_t, true>(a, b, n);
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

TIMBRE_AVX2 MixNorms MixRows(const float* frame, const float* const* rows,
                             const float* weights, size_t count, float rate,
                             size_t n, float* out) {
  return Mix(frame, rows, weights, count, rate, n, out);
}

TIMBRE_AVX2 MixNorms MixRowsHalf(const float* frame,
                                 const uint16_t* const* rows,
                                 const float* weights, size_t count, float rate,
                                 size_t n, float* out) {
  return Mix(frame, rows, weights, count, rate, n, out);
}

}  // namespace timbre::avx2

#endif  // defined(__x86_64__)
