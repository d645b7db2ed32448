// AVX-512 F, BW, DQ and VL (Skylake-X and later); see kernels.h and, for the
// target attributes, avx2/avx2.h. Codes stay as the reference has them.
#ifndef TIMBRE_SERVER_KERNELS_AVX512_AVX512_H_
#define TIMBRE_SERVER_KERNELS_AVX512_AVX512_H_

#include "server/kernels/level.h"

#if defined(__x86_64__)

TIMBRE_DECLARE_LEVEL(avx512);

#endif  // defined(__x86_64__)
#endif  // TIMBRE_SERVER_KERNELS_AVX512_AVX512_H_
