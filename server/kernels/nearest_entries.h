// nearest_entries of kernels.h, compiled once for every level: plain loops over
// 16 lanes, which compilers turn into whatever registers there are.
#ifndef TIMBRE_SERVER_KERNELS_NEAREST_ENTRIES_H_
#define TIMBRE_SERVER_KERNELS_NEAREST_ENTRIES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "server/kernels/layout.h"

namespace timbre {
// Of each file its own: never shared by the linker (see avx2/avx2.h).
namespace {

__attribute__((always_inline)) inline void NearestEntriesOf(
    const float* points, size_t stride, size_t count, size_t width,
    const float* entries, uint8_t* digits) {
  constexpr size_t kLanes = 16;
  for (size_t i = 0; i < count; i += kLanes) {
    std::array<float, kLanes> best;
    std::array<int32_t, kLanes> digit{};
    best.fill(std::numeric_limits<float>::infinity());
    for (size_t entry = 0; entry < kEntries; ++entry) {
      std::array<float, kLanes> distance{};
      for (size_t s = 0; s < width; ++s) {
        const float* const x = points + s * stride + i;
        const float y = entries[s * kEntries + entry];
        for (size_t lane = 0; lane < kLanes; ++lane) {
          const float difference = x[lane] - y;
          distance[lane] += difference * difference;
        }
      }
      for (size_t lane = 0; lane < kLanes; ++lane) {
        const bool nearer = distance[lane] < best[lane];
        best[lane] = nearer ? distance[lane] : best[lane];
        digit[lane] = nearer ? static_cast<int32_t>(entry) : digit[lane];
      }
    }
    for (size_t lane = 0; lane < kLanes; ++lane) {
      digits[i + lane] = static_cast<uint8_t>(digit[lane]);
    }
  }
}

}  // namespace
}  // namespace timbre

#endif  // TIMBRE_SERVER_KERNELS_NEAREST_ENTRIES_H_
