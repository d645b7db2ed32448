// AVX2, FMA and F16C; see kernels.h. Codes stay as the reference has them.
//
// Target attributes instead of compiler flags for the files: no inline function
// of a header can be compiled for a newer CPU here and then be chosen by the
// linker for everyone.
#ifndef TIMBRE_SERVER_KERNELS_AVX2_AVX2_H_
#define TIMBRE_SERVER_KERNELS_AVX2_AVX2_H_

#include "server/kernels/level.h"

#if defined(__x86_64__)

TIMBRE_DECLARE_LEVEL(avx2);

#endif  // defined(__x86_64__)
#endif  // TIMBRE_SERVER_KERNELS_AVX2_AVX2_H_
