// SearchParams and BlendParams of the contract: checked, then resolved for a
// version. Pure functions, thread-safe.
#ifndef TIMBRE_SERVER_SERVICE_CONTRACT_SEARCH_PARAMS_H_
#define TIMBRE_SERVER_SERVICE_CONTRACT_SEARCH_PARAMS_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/catalog/open/lease.h"
#include "server/engine/search/blender.h"
#include "server/engine/search/speaker_index.h"
#include "timbre/v1/retrieval.pb.h"

namespace timbre {

inline constexpr uint32_t kMaxK = 1024;
inline constexpr float kMaxKFactor = 1000;
inline constexpr float kMaxAlpha = 64;
inline constexpr float kDefaultAlpha = 3;

// INVALID_ARGUMENT naming the field. What holds for every version is checked
// here, before one is opened. `path`: where in the request `params` are.
absl::Status CheckSearchParams(const v1::SearchParams& params,
                               absl::string_view path = "params");
absl::Status CheckBlendParams(const v1::BlendParams& params);

struct ResolvedSearch {
  SearchSettings settings;
  v1::SearchParams effective;
  std::optional<uint32_t> nprobe;  // absent on an index without lists
  bool has_budget = false;
  absl::Duration budget;  // latency_budget
};

// What `params` (checked) mean for an open version. FAILED_PRECONDITION for a
// target_recall where nothing was measured.
absl::StatusOr<ResolvedSearch> ResolveSearch(const v1::SearchParams& params,
                                             const LoadedVersion& version);

struct ResolvedBlend {
  ResolvedSearch search;
  BlendSettings settings;
  float index_rate = 0;
  v1::BlendParams effective;
};

absl::StatusOr<ResolvedBlend> ResolveBlend(const v1::BlendParams& params,
                                           const LoadedVersion& version);

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_CONTRACT_SEARCH_PARAMS_H_
