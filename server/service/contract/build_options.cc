#include "server/service/contract/build_options.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/catalog/records/speaker_name.h"
#include "server/service/contract/frame_codec.h"
#include "server/service/contract/search_params.h"

namespace timbre {
namespace {

constexpr int kMaxLabels = 32;
constexpr size_t kMaxLabelKey = 63;
constexpr size_t kMaxLabelValue = 256;
constexpr size_t kMaxRequestId = 64;

absl::StatusOr<Metric> DecodeMetric(v1::Metric metric) {
  switch (metric) {
    case v1::METRIC_UNSPECIFIED:
    case v1::METRIC_L2:
      return Metric::kL2;
    case v1::METRIC_INNER_PRODUCT:
      return Metric::kInnerProduct;
    case v1::METRIC_COSINE:
      return Metric::kCosine;
    default:
      return InvalidField("options.metric",
                          absl::StrCat(static_cast<int>(metric)), "0..3");
  }
}

absl::Status CheckLabels(const v1::BuildOptions& options) {
  if (options.labels_size() > kMaxLabels) {
    return InvalidField("options.labels",
                        absl::StrCat(options.labels_size(), " labels"),
                        absl::StrCat("at most ", kMaxLabels));
  }
  for (const auto& [key, value] : options.labels()) {
    if (key.empty() || key.size() > kMaxLabelKey) {
      return InvalidField("options.labels",
                          absl::StrCat("a key of ", key.size(), " bytes"),
                          absl::StrCat("1..", kMaxLabelKey, " bytes"));
    }
    if (value.size() > kMaxLabelValue) {
      return InvalidField(absl::StrCat("options.labels[", Printable(key), "]"),
                          absl::StrCat(value.size(), " bytes"),
                          absl::StrCat("at most ", kMaxLabelValue, " bytes"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckRequestId(const std::string& id) {
  const bool printable = std::all_of(id.begin(), id.end(), [](char c) {
    return absl::ascii_isprint(static_cast<unsigned char>(c));
  });
  if (printable && id.size() <= kMaxRequestId) return absl::OkStatus();
  return InvalidField("options.request_id", id,
                      "at most 64 printable ASCII characters");
}

absl::Status CheckNumbers(const v1::BuildOptions& options) {
  const float recall = options.target_recall();
  if (!(recall >= 0 && recall <= 1)) {
    return InvalidField("options.target_recall", absl::StrCat(recall),
                        "0 (default) or above 0 and at most 1");
  }
  if (options.database_expansion_k() > kMaxK) {
    return InvalidField("options.database_expansion_k",
                        absl::StrCat(options.database_expansion_k()),
                        absl::StrCat("0 (off) or 1..", kMaxK));
  }
  const float alpha = options.database_expansion_alpha();
  if (!(alpha >= 0 && alpha <= kMaxAlpha)) {
    return InvalidField(
        "options.database_expansion_alpha", absl::StrCat(alpha),
        absl::StrCat("0 (", kDefaultAlpha, ") or above 0, to ", kMaxAlpha));
  }
  if (alpha != 0 && options.database_expansion_k() == 0) {
    return InvalidField("options.database_expansion_alpha", absl::StrCat(alpha),
                        "left out where database_expansion_k is");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CheckedBuildOptions> CheckBuildOptions(
    const v1::BuildOptions& options) {
  CheckedBuildOptions checked;
  TIMBRE_RETURN_IF_ERROR(
      CheckSpeakerName(options.speaker(), "options.speaker"));
  TIMBRE_ASSIGN_OR_RETURN(checked.metric, DecodeMetric(options.metric()));
  TIMBRE_RETURN_IF_ERROR(CheckLabels(options));
  TIMBRE_RETURN_IF_ERROR(CheckRequestId(options.request_id()));
  TIMBRE_RETURN_IF_ERROR(CheckNumbers(options));
  if (!options.index_factory().empty()) {
    TIMBRE_ASSIGN_OR_RETURN(checked.spec,
                            ParseIndexSpec(options.index_factory()));
  }
  TIMBRE_ASSIGN_OR_RETURN(
      const ElementType storage,
      DecodeElementType(options.storage(), "options.storage"));
  if (options.storage() != v1::ELEMENT_TYPE_UNSPECIFIED) {
    checked.storage = storage;
  }
  if (options.dimension() != 0) {
    TIMBRE_RETURN_IF_ERROR(CheckBuildDimension(checked, options.dimension()));
  }
  return checked;
}

absl::Status CheckBuildDimension(const CheckedBuildOptions& checked,
                                 uint32_t dimension) {
  if (dimension < kMinDimension || dimension > kMaxDimension) {
    return InvalidField("options.dimension", absl::StrCat(dimension),
                        absl::StrCat("0 (from the frames) or ", kMinDimension,
                                     "..", kMaxDimension));
  }
  if (!checked.spec) return absl::OkStatus();
  return CheckDimension(*checked.spec, dimension);
}

}  // namespace timbre
