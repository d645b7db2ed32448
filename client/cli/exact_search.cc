#include "client/cli/exact_search.h"

#include <algorithm>
#include <array>
#include <vector>

namespace timbre::cli {
namespace {

float SquaredL2(const float* a, const float* b, uint32_t n) {
  constexpr size_t kLanes = 16;
  std::array<float, kLanes> sums{};
  uint32_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const float d = a[i + lane] - b[i + lane];
      sums[lane] += d * d;
    }
  }
  float sum = 0;
  for (; i < n; ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  for (const float part : sums) sum += part;
  return sum;
}

}  // namespace

double RecallAgainstExact(const client::FrameMatrix& frames,
                          const client::FrameMatrix& queries,
                          const client::SearchResult& found) {
  const size_t k = std::min<size_t>(found.ids.columns, frames.rows);
  if (k == 0 || queries.rows == 0) return 1;
  std::vector<float> distances(frames.rows);
  uint64_t hits = 0;
  for (uint64_t q = 0; q < queries.rows; ++q) {
    for (uint64_t i = 0; i < frames.rows; ++i) {
      distances[i] = SquaredL2(queries.row(q), frames.row(i), frames.columns);
    }
    std::nth_element(distances.begin(),
                     distances.begin() + static_cast<std::ptrdiff_t>(k - 1),
                     distances.end());
    const float limit = distances[k - 1] * (1 + 1e-5F);
    for (size_t i = 0; i < k; ++i) {
      if (found.ids.row(q)[i] >= 0 && found.distances.row(q)[i] <= limit) {
        ++hits;
      }
    }
  }
  return static_cast<double>(hits) / static_cast<double>(k * queries.rows);
}

}  // namespace timbre::cli
