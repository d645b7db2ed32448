#include "server/kernels/avx512/avx512.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "server/base/half.h"
#include "server/kernels/avx512/target.h"

namespace timbre::avx512 {
namespace {

TIMBRE_AVX512 inline __m512 Load(const float* p) { return _mm512_loadu_ps(p); }
TIMBRE_AVX512 inline __m512 Load(const uint16_t* p) {
  return _mm512_cvtph_ps(
      _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
TIMBRE_AVX512 inline __m512 LoadTail(const float* p, __mmask16 tail) {
  return _mm512_maskz_loadu_ps(tail, p);
}
TIMBRE_AVX512 inline __m512 LoadTail(const uint16_t* p, __mmask16 tail) {
  return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(tail, p));
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
TIMBRE_AVX512 inline float Reduce(const float* a, const B* b, size_t n) {
  // Four chains hide the latency of the multiply-add.
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
    const __mmask16 tail = Tail16(n - i);
    s1 = Step<kDifference>(LoadTail(a + i, tail), LoadTail(b + i, tail), s1);
  }
  return _mm512_reduce_add_ps(
      _mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3)));
}

TIMBRE_AVX512 inline __m256i Halves(__m512 x) {
  // min(limit, NaN) is NaN: the second operand wins where one is NaN.
  const __m512 magnitude =
      _mm512_min_ps(_mm512_set1_ps(kHalfMax), _mm512_abs_ps(x));
  const __m512 sign = _mm512_and_ps(x, _mm512_set1_ps(-0.0F));
  return _mm512_cvtps_ph(_mm512_or_ps(magnitude, sign),
                         _MM_FROUND_TO_NEAREST_INT);
}

// 16 columns of a mix: the blended values, and what they add to the norms.
struct MixState {
  __m512 rate;
  __m512 rest;  // 1 - rate
  __m512 norm;
  __m512 shift;
};

TIMBRE_AVX512 inline __m512 MixColumns(__m512 mix, __m512 in, MixState& state) {
  const __m512 out =
      _mm512_fmadd_ps(state.rate, mix, _mm512_mul_ps(state.rest, in));
  const __m512 moved = _mm512_sub_ps(out, in);
  state.norm = _mm512_fmadd_ps(in, in, state.norm);
  state.shift = _mm512_fmadd_ps(moved, moved, state.shift);
  return out;
}

template <typename B>
TIMBRE_AVX512 inline MixNorms Mix(const float* frame, const B* const* rows,
                                  const float* weights, size_t count,
                                  float rate, size_t n, float* out) {
  MixState state{_mm512_set1_ps(rate), _mm512_set1_ps(1 - rate),
                 _mm512_setzero_ps(), _mm512_setzero_ps()};
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    __m512 mix[4] = {};
    for (size_t r = 0; r < count; ++r) {
      const __m512 weight = _mm512_set1_ps(weights[r]);
      const B* const row = rows[r] + i;
      for (size_t v = 0; v < 4; ++v) {
        mix[v] = _mm512_fmadd_ps(weight, Load(row + 16 * v), mix[v]);
      }
    }
    for (size_t v = 0; v < 4; ++v) {
      const __m512 in = _mm512_loadu_ps(frame + i + 16 * v);
      _mm512_storeu_ps(out + i + 16 * v, MixColumns(mix[v], in, state));
    }
  }
  for (; i < n; i += 16) {
    const __mmask16 tail = Tail16(n - i);
    __m512 mix = _mm512_setzero_ps();
    for (size_t r = 0; r < count; ++r) {
      mix = _mm512_fmadd_ps(_mm512_set1_ps(weights[r]),
                            LoadTail(rows[r] + i, tail), mix);
    }
    const __m512 in = _mm512_maskz_loadu_ps(tail, frame + i);
    _mm512_mask_storeu_ps(out + i, tail, MixColumns(mix, in, state));
  }
  return {.squared_norm = _mm512_reduce_add_ps(state.norm),
          .squared_shift = _mm512_reduce_add_ps(state.shift)};
}

}  // namespace

TIMBRE_AVX512 float Dot(const float* a, const float* b, size_t n) {
  return Reduce<float, false>(a, b, n);
}

TIMBRE_AVX512 float SquaredL2(const float* a, const float* b, size_t n) {
  return Reduce<float, true>(a, b, n);
}

TIMBRE_AVX512 float DotHalf(const float* a, const uint16_t* b, size_t n) {
  return Reduce<uint16_t, false>(a, b, n);
}

TIMBRE_AVX512 float SquaredL2Half(const float* a, const uint16_t* b, size_t n) {
  return Reduce<uint16_t, true>(a, b, n);
}

TIMBRE_AVX512 void HalfToFloats(const uint16_t* in, size_t n, float* out) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) _mm512_storeu_ps(out + i, Load(in + i));
  if (i < n) {
    const __mmask16 tail = Tail16(n - i);
    _mm512_mask_storeu_ps(out + i, tail, LoadTail(in + i, tail));
  }
}

TIMBRE_AVX512 void FloatToHalves(const float* in, size_t n, uint16_t* out) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i),
                        Halves(Load(in + i)));
  }
  if (i < n) {
    const __mmask16 tail = Tail16(n - i);
    _mm256_mask_storeu_epi16(out + i, tail, Halves(LoadTail(in + i, tail)));
  }
}

TIMBRE_AVX512 MixNorms MixRows(const float* frame, const float* const* rows,
                               const float* weights, size_t count, float rate,
                               size_t n, float* out) {
  return Mix(frame, rows, weights, count, rate, n, out);
}

TIMBRE_AVX512 MixNorms MixRowsHalf(const float* frame,
                                   const uint16_t* const* rows,
                                   const float* weights, size_t count,
                                   float rate, size_t n, float* out) {
  return Mix(frame, rows, weights, count, rate, n, out);
}

}  // namespace timbre::avx512

#endif  // defined(__x86_64__)
