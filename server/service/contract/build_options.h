// BuildOptions of the contract, checked. Pure functions, thread-safe.
#ifndef TIMBRE_SERVER_SERVICE_CONTRACT_BUILD_OPTIONS_H_
#define TIMBRE_SERVER_SERVICE_CONTRACT_BUILD_OPTIONS_H_

#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/element_type.h"
#include "server/engine/frames/metric.h"
#include "server/engine/lists/index_spec.h"
#include "timbre/v1/retrieval.pb.h"

namespace timbre {

struct CheckedBuildOptions {
  Metric metric = Metric::kL2;
  std::optional<IndexSpec> spec;       // absent: chosen
  std::optional<ElementType> storage;  // absent: chosen
};

// INVALID_ARGUMENT naming the field.
absl::StatusOr<CheckedBuildOptions> CheckBuildOptions(
    const v1::BuildOptions& options);

// The same for what can only be checked once the dimension is known, from the
// options, the base version or the first frames.
absl::Status CheckBuildDimension(const CheckedBuildOptions& checked,
                                 uint32_t dimension);

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_CONTRACT_BUILD_OPTIONS_H_
