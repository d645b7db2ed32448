#include "client/load/results.h"

#include <algorithm>
#include <cmath>

namespace timbre::load {

double Quantile(const std::vector<float>& sorted, double share) {
  if (sorted.empty()) return 0;
  const double rank = std::ceil(share * static_cast<double>(sorted.size()));
  const size_t index = static_cast<size_t>(std::max(rank, 1.0)) - 1;
  return sorted[std::min(index, sorted.size() - 1)];
}

std::vector<float> SortedLatencies(const GroupResult& result) {
  std::vector<float> latencies;
  latencies.reserve(result.answered.size());
  for (const Sample& s : result.answered) latencies.push_back(s.latency_ms);
  std::sort(latencies.begin(), latencies.end());
  return latencies;
}

Percentiles Summarize(std::vector<float> milliseconds) {
  std::sort(milliseconds.begin(), milliseconds.end());
  return {.p50 = Quantile(milliseconds, 0.50),
          .p90 = Quantile(milliseconds, 0.90),
          .p95 = Quantile(milliseconds, 0.95),
          .p99 = Quantile(milliseconds, 0.99),
          .p999 = Quantile(milliseconds, 0.999),
          .max = Quantile(milliseconds, 1)};
}

}  // namespace timbre::load
