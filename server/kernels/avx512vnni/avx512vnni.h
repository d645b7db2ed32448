// What AVX-512 does better with VNNI's int8 dot products (Cascade Lake and
// later); the rest is avx512/.
#ifndef TIMBRE_SERVER_KERNELS_AVX512VNNI_AVX512VNNI_H_
#define TIMBRE_SERVER_KERNELS_AVX512VNNI_AVX512VNNI_H_

#include "server/kernels/kernels.h"

#if defined(__x86_64__)

namespace timbre::avx512vnni {

void ScoreLists(const VectorBlocks& centroids, const ListQuery* queries,
                size_t count, PrefetchQueue& prefetch);
void Project(const VectorBlocks& vectors, const Projection* frames,
             size_t count);

}  // namespace timbre::avx512vnni

#endif  // defined(__x86_64__)
#endif  // TIMBRE_SERVER_KERNELS_AVX512VNNI_AVX512VNNI_H_
