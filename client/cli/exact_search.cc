#include "client/cli/exact_search.h"

#include <algorithm>
#include <array>
#include <utility>
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

client::SearchResult ExactSearch(const client::FrameMatrix& frames,
                                 const client::FrameMatrix& queries,
                                 uint32_t k) {
  k = static_cast<uint32_t>(std::min<uint64_t>(k, frames.rows));
  client::SearchResult found;
  found.ids.rows = found.distances.rows = queries.rows;
  found.ids.columns = found.distances.columns = k;
  std::vector<std::pair<float, int64_t>> all(frames.rows);
  for (uint64_t q = 0; q < queries.rows; ++q) {
    for (uint64_t i = 0; i < frames.rows; ++i) {
      all[i] = {SquaredL2(queries.row(q), frames.row(i), frames.columns),
                static_cast<int64_t>(i)};
    }
    std::partial_sort(all.begin(), all.begin() + k, all.end());
    for (uint32_t i = 0; i < k; ++i) {
      found.distances.data.push_back(all[i].first);
      found.ids.data.push_back(all[i].second);
    }
  }
  return found;
}

double RecallOf(const client::SearchResult& found,
                const client::SearchResult& exact) {
  const uint32_t k = std::min(found.ids.columns, exact.ids.columns);
  if (k == 0 || exact.ids.rows == 0) return 1;
  uint64_t hits = 0;
  for (uint64_t q = 0; q < exact.ids.rows; ++q) {
    const float limit = exact.distances.row(q)[k - 1] * (1 + 1e-5F);
    for (uint32_t i = 0; i < k; ++i) {
      if (found.ids.row(q)[i] >= 0 && found.distances.row(q)[i] <= limit) {
        ++hits;
      }
    }
  }
  return static_cast<double>(hits) / static_cast<double>(k * exact.ids.rows);
}

client::FrameMatrix RvcBlend(const client::FrameMatrix& frames,
                             const client::FrameMatrix& queries,
                             const client::SearchResult& found, float rate) {
  // Below what an exact match comes to when it is computed by a matrix product.
  constexpr double kLeast = 1e-6;
  client::FrameMatrix out = queries;
  const uint32_t n = queries.columns;
  std::vector<double> mix(n);
  for (uint64_t q = 0; q < queries.rows; ++q) {
    std::fill(mix.begin(), mix.end(), 0.0);
    double sum = 0;
    for (uint32_t i = 0; i < found.ids.columns; ++i) {
      const int64_t id = found.ids.row(q)[i];
      if (id < 0) continue;
      const double d = std::max<double>(found.distances.row(q)[i], kLeast);
      const double weight = 1 / (d * d);
      const float* const row = frames.row(static_cast<uint64_t>(id));
      for (uint32_t j = 0; j < n; ++j) mix[j] += weight * row[j];
      sum += weight;
    }
    if (sum == 0) continue;
    for (uint32_t j = 0; j < n; ++j) {
      out.row(q)[j] = static_cast<float>(rate * mix[j] / sum +
                                         (1 - rate) * queries.row(q)[j]);
    }
  }
  return out;
}

}  // namespace timbre::cli
