#include <algorithm>

#include "server/kernels/portable/portable.h"

namespace timbre::portable {

// Bisects the range of the values: the other levels do the same, or what they
// meet on the way would differ.
uint16_t KthSmallest(const uint16_t* values, size_t n, size_t k,
                     size_t enough) {
  const auto [least, most] = std::minmax_element(values, values + n);
  uint32_t low = *least;
  uint32_t high = *most;
  while (low < high) {
    const uint32_t middle = (low + high) / 2;
    size_t count = 0;
    for (size_t i = 0; i < n; ++i) count += values[i] <= middle ? 1 : 0;
    if (count >= k && count <= enough) return static_cast<uint16_t>(middle);
    low = count < k ? middle + 1 : low;
    high = count < k ? high : middle;
  }
  return static_cast<uint16_t>(low);
}

size_t Collect(const uint16_t* values, size_t n, uint16_t limit, size_t most,
               uint32_t* positions) {
  size_t count = 0;
  for (size_t i = 0; i < n && count < most; ++i) {
    if (values[i] <= limit) positions[count++] = static_cast<uint32_t>(i);
  }
  return count;
}

void StridedMinima(const uint16_t* values, size_t n, size_t lanes,
                   uint16_t* minima) {
  std::fill_n(minima, lanes, uint16_t{65535});
  for (size_t first = 0; first < n; first += lanes) {
    const size_t width = std::min(lanes, n - first);
    for (size_t i = 0; i < width; ++i) {
      minima[i] = std::min(minima[i], values[first + i]);
    }
  }
}

void Rank(const float* scores, size_t n, uint8_t* ranks) {
  for (size_t i = 0; i < n; ++i) {
    unsigned below = 0;
    for (size_t j = 0; j < n; ++j) below += scores[j] < scores[i] ? 1 : 0;
    ranks[i] = static_cast<uint8_t>(below);
  }
}

}  // namespace timbre::portable
