// What the files of avx512/, avx512vnni/ and avx512vbmi/ share.
#ifndef TIMBRE_SERVER_KERNELS_AVX512_TARGET_H_
#define TIMBRE_SERVER_KERNELS_AVX512_TARGET_H_

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstddef>

#define TIMBRE_AVX512 \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma,f16c")))
#define TIMBRE_AVX512_VNNI \
  __attribute__((          \
      target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")))
#define TIMBRE_AVX512_VBMI \
  __attribute__((target(   \
      "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,fma,f16c")))

namespace timbre::avx512 {

// The lowest `left` lanes, all 16 or 32 where there are no fewer.
inline __mmask16 Tail16(size_t left) {
  return static_cast<__mmask16>(left < 16 ? (1U << left) - 1U : 0xffffU);
}
inline __mmask32 Tail32(size_t left) {
  return left < 32 ? (__mmask32{1} << left) - 1U : ~__mmask32{0};
}

}  // namespace timbre::avx512

#endif  // defined(__x86_64__)
#endif  // TIMBRE_SERVER_KERNELS_AVX512_TARGET_H_
