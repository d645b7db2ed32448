// How two frames are compared.
#ifndef TIMBRE_SERVER_ENGINE_FRAMES_METRIC_H_
#define TIMBRE_SERVER_ENGINE_FRAMES_METRIC_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace timbre {

enum class Metric : uint8_t {
  kL2,            // squared Euclidean distance, smaller is nearer
  kInnerProduct,  // larger is nearer
  kCosine,        // inner product of normalised frames, larger is nearer
};

// |x| below this counts as this (the contract's eps).
inline constexpr float kNormEpsilon = 1e-12F;

constexpr absl::string_view MetricName(Metric metric) {
  switch (metric) {
    case Metric::kInnerProduct:
      return "inner_product";
    case Metric::kCosine:
      return "cosine";
    default:
      return "l2";
  }
}

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_FRAMES_METRIC_H_
