// In which directions vectors differ most.
#ifndef TIMBRE_SERVER_ENGINE_LISTS_PRINCIPAL_DIRECTIONS_H_
#define TIMBRE_SERVER_ENGINE_LISTS_PRINCIPAL_DIRECTIONS_H_

#include <cstddef>
#include <vector>

#include "server/kernels/kernels.h"

namespace timbre {

// About the subspace in which `vectors` ([count, dimension], with a mean of
// zero) have all but the share `most_lost` of their squared lengths: the first
// of 31, 63, 95 ... orthonormal directions that suffices, [directions,
// dimension]. Empty if fewer than half of the dimensions do not suffice. The
// directions are turned at random within the subspace, so that coordinates are
// of one size, as quantization likes them. Deterministic.
//
// Subspace iteration from random combinations, a few directions at a time
// (Halko, Martinsson, Tropp, SIAM Review 53, 2011, algorithm 4.4), on at most
// 256 of the vectors.
std::vector<float> PrincipalDirections(const std::vector<float>& vectors,
                                       size_t dimension, double most_lost,
                                       const KernelTable& kernels);

// The most that these are.
size_t MostDirections(size_t dimension);

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_LISTS_PRINCIPAL_DIRECTIONS_H_
