// One table per source file of this folder. Not for use outside of it.
#ifndef TIMBRE_SERVER_KERNELS_TABLES_H_
#define TIMBRE_SERVER_KERNELS_TABLES_H_

#include "server/kernels/kernels.h"

namespace timbre {

extern const KernelTable kPortableKernels;
#if defined(__x86_64__)
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx512Kernels;
#endif

}  // namespace timbre

#endif  // TIMBRE_SERVER_KERNELS_TABLES_H_
