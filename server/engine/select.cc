#include "server/engine/select.h"

#include <algorithm>
#include <array>

namespace timbre {
namespace {

constexpr size_t kMostLanes = 512;

// The k-th smallest of `values`, which is in [low, high]; or, as soon as one is
// met, a number that at least k and at most `enough` values do not exceed.
uint16_t Bisect(const KernelTable& kernels, const uint16_t* values, size_t n,
                size_t k, size_t enough, uint32_t low, uint32_t high) {
  while (low < high) {
    const uint32_t middle = (low + high) / 2;
    const size_t count =
        kernels.count_at_most(values, n, static_cast<uint16_t>(middle));
    if (count < k) {
      low = middle + 1;
      continue;
    }
    if (count <= enough) return static_cast<uint16_t>(middle);
    high = middle;
  }
  return static_cast<uint16_t>(low);
}

// Enough shares that the bound is tight, few enough that it is cheap; 0: none.
size_t LanesFor(size_t n, size_t k) {
  if (k <= 48 && n >= 512) return 128;
  if (k <= 192 && n >= 2048) return kMostLanes;
  return 0;
}

uint16_t Add(uint16_t value, uint16_t margin) {
  return static_cast<uint16_t>(std::min(65535U, uint32_t{value} + margin));
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
                         size_t n, size_t k, uint16_t margin,
                         uint32_t* positions) {
  if (k >= n) {
    return {.kth = 65535,
            .count = kernels.collect(values, n, 65535, n, positions)};
  }
  // With a margin the k-th value itself is wanted, else any number that
  // separates k values from the others.
  const size_t enough = margin == 0 ? k : 0;
  std::array<uint16_t, kMostLanes> few;
  const size_t lanes = LanesFor(n, k);
  if (lanes > 0) {
    kernels.strided_minima(values, n, lanes, few.data());
    const uint16_t bound =
        k == 1 ? *std::min_element(few.begin(), few.begin() + lanes)
               : Bisect(kernels, few.data(), lanes, k, k + k / 4 + 2, 0, 65535);
    const size_t near = kernels.collect(values, n, Add(bound, margin),
                                        kMostSurvivors, positions);
    // No fewer than that: many are equal, and some may be missing.
    if (near < kMostSurvivors) {
      if (k == 1) return {.kth = bound, .count = near};
      uint16_t least = bound;
      for (size_t i = 0; i < near; ++i) {
        few[i] = values[positions[i]];
        least = std::min(least, few[i]);
      }
      const uint16_t kth =
          Bisect(kernels, few.data(), near, k, enough, least, bound);
      return {.kth = kth,
              .count = Filter(few.data(), near, Add(kth, margin), positions)};
    }
  }
  const uint16_t kth = Bisect(kernels, values, n, k, enough, 0, 65535);
  return {.kth = kth,
          .count = kernels.collect(values, n, Add(kth, margin), n, positions)};
}

}  // namespace timbre
