#include "server/service/live/latency_budget.h"

#include <algorithm>

#include "server/metrics/server_metrics.h"

namespace timbre {
namespace {

// Nanoseconds on the machine of doc/performance.md. Only their proportions
// matter.
constexpr double kPerNumber = 0.1;      // of an exact distance, from memory
constexpr double kPerCentroid = 0.012;  // and number of it
constexpr double kPerCode = 0.012;      // and number of the frame
constexpr double kPerCandidate = 0.06;  // and number of it

// How fast the scale follows what is measured.
constexpr double kFollow = 0.3;
constexpr double kMaxAtOnce = 4;
constexpr double kRelax = 0.7;
constexpr double kMinScale = 0.01;
constexpr double kMaxScale = 1000;

}  // namespace

absl::Duration EstimateFrame(const IndexShape& shape,
                             const SearchSettings& settings) {
  const double numbers = shape.dimension;
  const auto rows = static_cast<double>(shape.rows);
  if (shape.kind == IndexKind::kFlat) {
    return absl::Nanoseconds(rows * numbers * kPerNumber);
  }
  const double visited = rows * settings.nprobe / shape.nlist;
  double nanoseconds = shape.nlist * numbers * kPerCentroid;
  if (shape.kind == IndexKind::kIvfPq) {
    nanoseconds += visited * numbers * kPerCode;
    nanoseconds += std::min<double>(settings.candidates, visited) * numbers *
                   kPerCandidate;
  } else {
    nanoseconds += visited * numbers * kPerNumber;
  }
  return absl::Nanoseconds(nanoseconds);
}

void FrameCost::Learn(const IndexShape& shape, const SearchSettings& settings,
                      uint64_t frames, absl::Duration took) {
  const absl::Duration estimate =
      EstimateFrame(shape, settings) * static_cast<double>(frames);
  if (estimate <= absl::ZeroDuration() || took <= absl::ZeroDuration()) return;
  // One hiccup (a page fault, another thread's slice) says little.
  const double measured =
      std::min(absl::FDivDuration(took, estimate), kMaxAtOnce * scale_);
  scale_ =
      std::clamp(scale_ + kFollow * (measured - scale_), kMinScale, kMaxScale);
}

void FrameCost::Relax() { scale_ = std::max(kMinScale, scale_ * kRelax); }

bool LatencyBudget::StepDown() {
  effective_.target_recall = 0;  // what is lowered was not measured
  if (shape_.kind != IndexKind::kFlat && settings_.nprobe > 1) {
    settings_.nprobe /= 2;
    effective_.nprobe = settings_.nprobe;
    return true;
  }
  if (shape_.kind == IndexKind::kIvfPq && settings_.candidates > settings_.k) {
    settings_.candidates = std::max(settings_.k, settings_.candidates / 2);
    effective_.k_factor = static_cast<float>(settings_.candidates) /
                          static_cast<float>(settings_.k);
    return true;
  }
  return false;
}

std::optional<SearchSettings> LatencyBudget::Next(uint64_t frames,
                                                  const FrameCost& cost,
                                                  absl::Time now) {
  const absl::Duration left = deadline_ - now;
  const auto too_slow = [&] {
    return cost.Of(shape_, settings_) * frames > left;
  };
  if (degradation_ == v1::DEGRADATION_PASSED_THROUGH) return std::nullopt;
  while (too_slow()) {
    if (StepDown()) {
      degradation_ = v1::DEGRADATION_REDUCED;
      continue;
    }
    if (!may_pass_through_) break;
    degradation_ = v1::DEGRADATION_PASSED_THROUGH;
    return std::nullopt;
  }
  return settings_;
}

size_t LabelOf(const ResolvedSearch& search, const LatencyBudget& budget) {
  return NprobeLabel(search.nprobe ? std::optional(budget.settings().nprobe)
                                   : std::nullopt);
}

}  // namespace timbre
