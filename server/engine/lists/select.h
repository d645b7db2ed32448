// Selection of the smallest of many 16-bit numbers.
#ifndef TIMBRE_SERVER_ENGINE_LISTS_SELECT_H_
#define TIMBRE_SERVER_ENGINE_LISTS_SELECT_H_

#include <cstddef>
#include <cstdint>

#include "server/kernels/kernels.h"

namespace timbre {

struct Selection {
  // The k-th smallest value, or a larger number as long as no value lies in
  // between; 65535 where k >= n.
  uint16_t kth = 0;
  // Positions that were written. If these are more than k, kth is a value.
  size_t count = 0;
};

// Finds the k-th smallest of values[0..n), k >= 1, and writes the positions of
// all values up to it, in increasing order: at least min(k, n). `positions` has
// room for max(n, kMaxSurvivors). Thread-safe.
//
// A bound comes first: the minima of 128 or 512 interleaved shares of the
// values are values, so the k-th smallest of them is no less than what is
// looked for, and hardly a few more than k lie below it.
inline constexpr size_t kMaxSurvivors = 512;
Selection SelectSmallest(const KernelTable& kernels, const uint16_t* values,
                         size_t n, size_t k, uint32_t* positions);

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_LISTS_SELECT_H_
