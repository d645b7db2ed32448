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

// SearchParams and BlendParams as they are used; what clients are told
// (`effective`) where it changes. Zero: not set.
struct EffectiveSearch {
  uint32_t k = 0;
  uint32_t nprobe = 0;  // 1 on an index without lists
  float k_factor = 0;   // 1 without re-ranking
  float target_recall = 0;
  bool operator==(const EffectiveSearch&) const = default;
};
struct EffectiveBlend {
  EffectiveSearch search;
  float index_rate = 0;
  v1::Weighting weighting = v1::WEIGHTING_UNSPECIFIED;
  float alpha = 0;
  bool operator==(const EffectiveBlend&) const = default;
};
void FillEffective(const EffectiveSearch& effective, v1::SearchParams& message);
void FillEffective(const EffectiveBlend& effective, v1::BlendParams& message);

struct ResolvedSearch {
  SearchSettings settings;
  EffectiveSearch effective;
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
  EffectiveBlend effective;
};

absl::StatusOr<ResolvedBlend> ResolveBlend(const v1::BlendParams& params,
                                           const LoadedVersion& version);

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_CONTRACT_SEARCH_PARAMS_H_
