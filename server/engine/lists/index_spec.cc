#include "server/engine/lists/index_spec.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/base/errors.h"

namespace timbre {
namespace {

constexpr uint64_t kExactBelowRows = 2048;
constexpr double kListsPerRoot = 2;
constexpr uint32_t kMinPqDimension = 32;

// "<prefix><number><suffix>" with 1 <= number <= max and no leading zero.
bool ParseNumbered(absl::string_view text, absl::string_view prefix,
                   absl::string_view suffix, uint32_t max, uint32_t* number) {
  if (!absl::ConsumePrefix(&text, prefix)) return false;
  if (!absl::ConsumeSuffix(&text, suffix)) return false;
  if (text.empty() || text[0] < '1' || text[0] > '9') return false;
  return absl::SimpleAtoi(text, number) && *number >= 1 && *number <= max;
}

absl::Status NotUnderstood(absl::string_view factory) {
  return InvalidField("options.index_factory", factory, kIndexSpecNotation);
}

}  // namespace

const char kIndexSpecNotation[] =
    "Flat | IVF<n>,Flat | IVF<n>,PQ<m>x4fs,RFlat | "
    "IVF<n>,PQ<m>x4fs,Refine(SQfp16), with n in 1..1048576 and m a divisor of "
    "the dimension; or empty";

absl::StatusOr<IndexSpec> ParseIndexSpec(absl::string_view factory) {
  IndexSpec spec;
  if (factory == "Flat") return spec;
  const std::vector<absl::string_view> parts = absl::StrSplit(factory, ',');
  if (!ParseNumbered(parts[0], "IVF", "", kMaxLists, &spec.nlist)) {
    return NotUnderstood(factory);
  }
  if (parts.size() == 2 && parts[1] == "Flat") {
    spec.kind = IndexKind::kIvfFlat;
    return spec;
  }
  if (parts.size() != 3 ||
      !ParseNumbered(parts[1], "PQ", "x4fs", kMaxDimension, &spec.pq_m)) {
    return NotUnderstood(factory);
  }
  spec.kind = IndexKind::kIvfPq;
  if (parts[2] == "RFlat") return spec;
  if (parts[2] != "Refine(SQfp16)") return NotUnderstood(factory);
  spec.refine = RefineKind::kHalf;
  return spec;
}

absl::Status CheckDimension(const IndexSpec& spec, uint32_t dimension) {
  if (spec.kind != IndexKind::kIvfPq || dimension % spec.pq_m == 0) {
    return absl::OkStatus();
  }
  return InvalidField(
      "options.index_factory", ToString(spec),
      absl::StrCat("a PQ width that divides the dimension, ", dimension));
}

IndexSpec ChooseIndexSpec(uint64_t rows, uint32_t dimension) {
  IndexSpec spec;
  if (rows < kExactBelowRows) return spec;
  const double lists =
      std::round(kListsPerRoot * std::sqrt(static_cast<double>(rows)));
  spec.nlist = static_cast<uint32_t>(std::min<double>(lists, kMaxLists));
  spec.kind = IndexKind::kIvfFlat;
  if (dimension % 2 == 0 && dimension >= kMinPqDimension) {
    spec.kind = IndexKind::kIvfPq;
    spec.pq_m = dimension / 2;
  }
  return spec;
}

std::string ToString(const IndexSpec& spec) {
  switch (spec.kind) {
    case IndexKind::kFlat:
      return "Flat";
    case IndexKind::kIvfFlat:
      return absl::StrCat("IVF", spec.nlist, ",Flat");
    case IndexKind::kIvfPq:
      break;
  }
  return absl::StrCat(
      "IVF", spec.nlist, ",PQ", spec.pq_m, "x4fs,",
      spec.refine == RefineKind::kHalf ? "Refine(SQfp16)" : "RFlat");
}

}  // namespace timbre
