// What AVX-512 does better with VBMI's byte permutations (Ice Lake, Zen 4 and
// later), on top of VNNI; the rest is avx512vnni/ and avx512/.
#ifndef TIMBRE_SERVER_KERNELS_AVX512VBMI_AVX512VBMI_H_
#define TIMBRE_SERVER_KERNELS_AVX512VBMI_AVX512VBMI_H_

#include "server/kernels/kernels.h"

#if defined(__x86_64__)

namespace timbre::avx512vbmi {

// Leaves the words as they are: four digits of a code side by side, so that one
// permutation looks up 64 digits in four tables and one dot product with ones
// adds them code by code.
void ArrangeCodes(uint8_t* blocks, size_t bytes);
void ScanCodes(const uint8_t* tables, const uint8_t* blocks, size_t count,
               size_t octets, uint16_t* sums);

}  // namespace timbre::avx512vbmi

#endif  // defined(__x86_64__)
#endif  // TIMBRE_SERVER_KERNELS_AVX512VBMI_AVX512VBMI_H_
