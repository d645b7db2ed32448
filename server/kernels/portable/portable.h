// The reference, function by function: see kernels.h. Plain C++ for any CPU,
// shaped so that compilers vectorise it.
#ifndef TIMBRE_SERVER_KERNELS_PORTABLE_PORTABLE_H_
#define TIMBRE_SERVER_KERNELS_PORTABLE_PORTABLE_H_

#include "server/kernels/level.h"

TIMBRE_DECLARE_LEVEL(portable);

namespace timbre::portable {

// Equal digits of 16 codes side by side: byte 16 t + c is byte t of code c's
// word. avx2/ and avx512/ use this order too.
void ArrangeCodes(uint8_t* blocks, size_t bytes);

}  // namespace timbre::portable

#endif  // TIMBRE_SERVER_KERNELS_PORTABLE_PORTABLE_H_
