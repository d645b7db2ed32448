#include "server/service/contract/search_params.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"

namespace timbre {
namespace {

constexpr float kDefaultIndexRate = 0.75F;

// Written so that NaN is outside of every range.
bool Within(float value, float low, float high) {
  return value >= low && value <= high;
}

// In the range of google.protobuf.Duration, and above 0.
bool IsPositive(const google::protobuf::Duration& duration) {
  constexpr int64_t kMaxSeconds = 315'576'000'000;
  return duration.seconds() >= 0 && duration.seconds() <= kMaxSeconds &&
         duration.nanos() >= 0 && duration.nanos() < 1'000'000'000 &&
         (duration.seconds() > 0 || duration.nanos() > 0);
}

// What stands in for fields that are not set: the version's defaults, or the
// measured point that target_recall asks for.
absl::StatusOr<OperatingPoint> MeasuredFor(const v1::SearchParams& params,
                                           const VersionRecord& record) {
  const Tuning& tuning = record.tuning;
  if (params.target_recall() == 0) {
    return OperatingPoint{.nprobe = tuning.nprobe, .k_factor = tuning.k_factor};
  }
  // Exact indices meet every target.
  if (record.spec.kind == IndexKind::kFlat) return OperatingPoint{};
  if (!tuning.curve.empty()) {
    return ChoosePoint(tuning.curve, params.target_recall());
  }
  return MakeError(absl::StatusCode::kFailedPrecondition, "NO_MEASURED_POINTS",
                   "params.target_recall: nothing was measured for this "
                   "version; tune it, or give nprobe and k_factor instead");
}

}  // namespace

absl::Status CheckSearchParams(const v1::SearchParams& params,
                               absl::string_view path) {
  const auto field = [&](absl::string_view name) {
    return absl::StrCat(path, ".", name);
  };
  if (params.k() > kMaxK) {
    return InvalidField(field("k"), absl::StrCat(params.k()),
                        absl::StrCat("0 (default) or 1..", kMaxK));
  }
  if (params.k_factor() != 0 && !Within(params.k_factor(), 1, kMaxKFactor)) {
    return InvalidField(field("k_factor"), absl::StrCat(params.k_factor()),
                        absl::StrCat("0 (default) or 1..", kMaxKFactor));
  }
  if (params.target_recall() != 0) {
    if (!(params.target_recall() > 0) || !(params.target_recall() <= 1)) {
      return InvalidField(field("target_recall"),
                          absl::StrCat(params.target_recall()),
                          "0 (off) or above 0 and at most 1");
    }
    if (params.nprobe() != 0 || params.k_factor() != 0) {
      return InvalidField(field("target_recall"),
                          absl::StrCat(params.target_recall()),
                          "0 (off) where nprobe or k_factor is given");
    }
  }
  if (params.has_latency_budget() && !IsPositive(params.latency_budget())) {
    return InvalidField(
        field("latency_budget"),
        absl::StrCat(params.latency_budget().seconds(), " s and ",
                     params.latency_budget().nanos(), " ns"),
        "above 0 and at most 10,000 years, 0..999,999,999 ns");
  }
  return absl::OkStatus();
}

absl::Status CheckBlendParams(const v1::BlendParams& params) {
  TIMBRE_RETURN_IF_ERROR(CheckSearchParams(params.search(), "params.search"));
  if (params.rate_case() == v1::BlendParams::kIndexRate &&
      !Within(params.index_rate(), 0, 1)) {
    return InvalidField("params.index_rate", absl::StrCat(params.index_rate()),
                        "0..1");
  }
  if (!v1::Weighting_IsValid(params.weighting())) {
    return InvalidField("params.weighting",
                        absl::StrCat(static_cast<int>(params.weighting())),
                        "0..3");
  }
  if (!Within(params.alpha(), 0, kMaxAlpha)) {
    return InvalidField("params.alpha", absl::StrCat(params.alpha()),
                        absl::StrCat("0 (default) or 0..", kMaxAlpha));
  }
  return absl::OkStatus();
}

void FillEffective(const EffectiveSearch& effective,
                   v1::SearchParams& message) {
  message.set_k(effective.k);
  message.set_nprobe(effective.nprobe);
  message.set_k_factor(effective.k_factor);
  message.set_target_recall(effective.target_recall);
}

void FillEffective(const EffectiveBlend& effective, v1::BlendParams& message) {
  FillEffective(effective.search, *message.mutable_search());
  message.set_index_rate(effective.index_rate);
  message.set_weighting(effective.weighting);
  message.set_alpha(effective.alpha);
}

absl::StatusOr<ResolvedSearch> ResolveSearch(const v1::SearchParams& params,
                                             const LoadedVersion& version) {
  const IndexSpec& spec = version.record->spec;
  const bool coded = spec.kind == IndexKind::kIvfPq;
  TIMBRE_ASSIGN_OR_RETURN(const OperatingPoint measured,
                          MeasuredFor(params, *version.record));
  const uint32_t k =
      params.k() != 0 ? params.k() : version.record->manifest.default_k();
  float k_factor = coded ? params.k_factor() : 1;
  uint32_t measured_k = k;
  if (k_factor == 0) {
    // Measured at this k: a smaller one still gets as many candidates.
    k_factor = measured.k_factor;
    measured_k = std::max(k, kMeasuredK);
  }
  ResolvedSearch resolved;
  if (spec.kind != IndexKind::kFlat) {
    resolved.nprobe = std::min(
        params.nprobe() != 0 ? params.nprobe() : measured.nprobe, spec.nlist);
  }
  resolved.settings = {.k = k,
                       .nprobe = resolved.nprobe.value_or(1),
                       .candidates = CandidatesOf(measured_k, k_factor)};
  resolved.has_budget = params.has_latency_budget();
  resolved.budget = absl::Seconds(params.latency_budget().seconds()) +
                    absl::Nanoseconds(params.latency_budget().nanos());
  resolved.effective = {
      .k = k,
      .nprobe = resolved.settings.nprobe,
      .k_factor = k_factor,
      .target_recall = params.target_recall() != 0 ? measured.recall : 0};
  return resolved;
}

absl::StatusOr<ResolvedBlend> ResolveBlend(const v1::BlendParams& params,
                                           const LoadedVersion& version) {
  ResolvedBlend resolved;
  TIMBRE_ASSIGN_OR_RETURN(resolved.search,
                          ResolveSearch(params.search(), version));
  resolved.index_rate = params.rate_case() == v1::BlendParams::kIndexRate
                            ? params.index_rate()
                            : kDefaultIndexRate;
  resolved.settings.alpha =
      params.alpha() != 0 ? params.alpha() : kDefaultAlpha;
  v1::Weighting weighting = params.weighting();
  switch (weighting) {
    case v1::WEIGHTING_UNIFORM:
      resolved.settings.weighting = Weighting::kUniform;
      break;
    case v1::WEIGHTING_COSINE_POWER:
      resolved.settings.weighting = Weighting::kCosinePower;
      resolved.effective.alpha = resolved.settings.alpha;
      break;
    default:
      weighting = v1::WEIGHTING_INVERSE_SQUARE_DISTANCE;
      break;
  }
  resolved.effective.search = resolved.search.effective;
  resolved.effective.index_rate = resolved.index_rate;
  resolved.effective.weighting = weighting;
  return resolved;
}

}  // namespace timbre
