// What the files of avx2/ share.
#ifndef TIMBRE_SERVER_KERNELS_AVX2_TARGET_H_
#define TIMBRE_SERVER_KERNELS_AVX2_TARGET_H_

#if defined(__x86_64__)

#include <immintrin.h>

#define TIMBRE_AVX2 __attribute__((target("avx2,fma,f16c")))

namespace timbre::avx2 {

// The upper half folded onto the lower one again and again: the order in which
// the reference adds its lanes.
TIMBRE_AVX2 inline float Sum(__m256 v) {
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  x = _mm_add_ss(x, _mm_movehdup_ps(x));
  return _mm_cvtss_f32(x);
}

TIMBRE_AVX2 inline float Max(__m256 v) {
  __m128 x = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  x = _mm_max_ps(x, _mm_movehl_ps(x, x));
  x = _mm_max_ss(x, _mm_movehdup_ps(x));
  return _mm_cvtss_f32(x);
}

}  // namespace timbre::avx2

#endif  // defined(__x86_64__)
#endif  // TIMBRE_SERVER_KERNELS_AVX2_TARGET_H_
