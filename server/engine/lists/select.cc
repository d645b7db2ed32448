#include "server/engine/lists/select.h"

#include <algorithm>
#include <array>

namespace timbre {
namespace {

constexpr size_t kMaxLanes = 512;
static_assert(kMaxSurvivors <= kMaxLanes);  // `few` below holds both

// Enough shares that the bound is tight, few enough that it is cheap; 0: none.
size_t LanesFor(size_t n, size_t k) {
  if (k <= 48 && n >= 512) return 128;
  if (k <= 192 && n >= 2048) return kMaxLanes;
  return 0;
}

// Drops positions whose values are above the limit.
size_t Filter(const uint16_t* values_at, size_t n, uint16_t limit,
              uint32_t* positions) {
  size_t count = 0;
  for (size_t i = 0; i < n; ++i) {
    positions[count] = positions[i];
    count += values_at[i] <= limit ? 1 : 0;
  }
  return count;
}

}  // namespace

Selection SelectSmallest(const KernelTable& kernels, const uint16_t* values,
                         size_t n, size_t k, uint32_t* positions) {
  if (k >= n) {
    return {.kth = 65535,
            .count = kernels.collect(values, n, 65535, n, positions)};
  }
  std::array<uint16_t, kMaxLanes> few;
  const size_t lanes = LanesFor(n, k);
  if (lanes > 0) {
    kernels.strided_minima(values, n, lanes, few.data());
    const uint16_t bound =
        kernels.kth_smallest(few.data(), lanes, k, k + k / 4 + 2);
    const size_t near =
        kernels.collect(values, n, bound, kMaxSurvivors, positions);
    // No fewer than that: many are equal, and some may be missing.
    if (near < kMaxSurvivors) {
      for (size_t i = 0; i < near; ++i) few[i] = values[positions[i]];
      const uint16_t kth = kernels.kth_smallest(few.data(), near, k, k);
      return {.kth = kth, .count = Filter(few.data(), near, kth, positions)};
    }
  }
  const uint16_t kth = kernels.kth_smallest(values, n, k, k);
  return {.kth = kth, .count = kernels.collect(values, n, kth, n, positions)};
}

}  // namespace timbre
