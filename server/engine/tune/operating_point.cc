#include "server/engine/tune/operating_point.h"

#include <cstddef>
#include <utility>

namespace timbre {

Curve Smoothed(const std::vector<OperatingPoint>& points) {
  Curve curve;
  for (const OperatingPoint& point : points) {
    if (curve.empty() || point.recall > curve.back().recall) {
      curve.push_back(point);
    }
  }
  // Pool adjacent violators.
  struct Pool {
    double mean;
    size_t size;
  };
  std::vector<Pool> pools;
  for (const OperatingPoint& point : curve) {
    Pool last{point.microseconds_per_frame, 1};
    while (!pools.empty() && pools.back().mean > last.mean) {
      const Pool& other = pools.back();
      const auto size = static_cast<double>(last.size + other.size);
      last.mean = (last.mean * static_cast<double>(last.size) +
                   other.mean * static_cast<double>(other.size)) /
                  size;
      last.size += other.size;
      pools.pop_back();
    }
    pools.push_back(last);
  }
  size_t next = 0;
  for (const Pool& pool : pools) {
    for (size_t i = 0; i < pool.size; ++i) {
      curve[next++].microseconds_per_frame = static_cast<float>(pool.mean);
    }
  }
  return curve;
}

const OperatingPoint& ChoosePoint(const Curve& curve, float target_recall) {
  for (const OperatingPoint& point : curve) {
    if (point.recall >= target_recall) return point;
  }
  return curve.back();
}

Tuning TuningFor(Curve curve, float target_recall) {
  const OperatingPoint& chosen = ChoosePoint(curve, target_recall);
  return {.nprobe = chosen.nprobe,
          .k_factor = chosen.k_factor,
          .target_recall = target_recall,
          .curve = std::move(curve)};
}

}  // namespace timbre
