// Measured settings of an index, and the choice among them.
#ifndef TIMBRE_SERVER_ENGINE_TUNE_OPERATING_POINT_H_
#define TIMBRE_SERVER_ENGINE_TUNE_OPERATING_POINT_H_

#include <cstdint>
#include <vector>

namespace timbre {

// The k that settings are measured at, unless a Tune asks for another.
inline constexpr uint32_t kMeasuredK = 8;

// Candidates of a search for `k` neighbours: k * k_factor, in float, as faiss's
// IndexRefine does.
inline uint32_t CandidatesOf(uint32_t k, float k_factor) {
  return static_cast<uint32_t>(static_cast<float>(k) * k_factor);
}

// What Build's defaults must reach unless it is told otherwise.
inline constexpr float kDefaultTargetRecall = 0.95F;

// One measured setting.
struct OperatingPoint {
  uint32_t nprobe = 1;
  float k_factor = 1;
  float recall = 1;       // share of the true k nearest that were found, ties
                          // by distance counted as found
  float blend_error = 0;  // mean |approximate - exact| / |exact|, index_rate 1
  float microseconds_per_frame = 0;  // of one thread's CPU, blend included

  bool operator==(const OperatingPoint&) const = default;
};

// Settings that do more and more work: recalls rise, costs do not fall.
using Curve = std::vector<OperatingPoint>;

// `points`, each of which does more work than the one before it, without those
// that find no more than an earlier one, their measured times made to rise:
// by isotonic regression (the closest rising sequence in the sense of least
// squares; Barlow and others, "Statistical Inference under Order Restrictions",
// 1972), since more work takes no less time but for noise.
Curve Smoothed(const std::vector<OperatingPoint>& points);

// What a search of a version does unless it is told otherwise, and why.
struct Tuning {
  uint32_t nprobe = 1;
  float k_factor = 1;
  float target_recall = 0;  // that they were chosen for; 0: for none
  Curve curve;              // empty: nothing was measured

  bool operator==(const Tuning&) const = default;
};

// The cheapest point that reaches the target, or the most accurate one.
// REQUIRES: the curve is not empty.
const OperatingPoint& ChoosePoint(const Curve& curve, float target_recall);

// The curve with the defaults that ChoosePoint says. REQUIRES: the same.
Tuning TuningFor(Curve curve, float target_recall);

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_TUNE_OPERATING_POINT_H_
