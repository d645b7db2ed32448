#include "server/service/contract/tune_request.h"

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/catalog/records/speaker_name.h"
#include "server/engine/tune/operating_point.h"
#include "server/service/contract/search_params.h"

namespace timbre {

absl::Status CheckFirstTuneRequest(const v1::TuneRequest& request) {
  TIMBRE_RETURN_IF_ERROR(CheckSpeakerName(request.speaker()));
  if (request.k() > kMaxK) {
    return InvalidField("k", absl::StrCat(request.k()),
                        absl::StrCat("0 (", kMeasuredK, ") or 1..", kMaxK));
  }
  if (request.apply() && request.k() != 0 && request.k() != kMeasuredK) {
    return InvalidField("k", absl::StrCat(request.k()),
                        absl::StrCat("0 or ", kMeasuredK,
                                     " where apply is set: what a version "
                                     "keeps is measured at that"));
  }
  const float recall = request.target_recall();
  if (!(recall >= 0 && recall <= 1)) {
    return InvalidField("target_recall", absl::StrCat(recall),
                        absl::StrCat("0 (", kDefaultTargetRecall,
                                     ") or above 0 and at most 1"));
  }
  return absl::OkStatus();
}

absl::Status CheckLaterTuneRequest(const v1::TuneRequest& request,
                                   const v1::TuneRequest& first) {
  const bool repeats =
      (request.speaker().empty() || request.speaker() == first.speaker()) &&
      (request.version() == 0 || request.version() == first.version()) &&
      (request.k() == 0 || request.k() == first.k()) &&
      (request.target_recall() == 0 ||
       request.target_recall() == first.target_recall()) &&
      (!request.apply() || first.apply());
  if (repeats) return absl::OkStatus();
  return InvalidField("speaker", request.speaker(),
                      "like version, k, target_recall and apply given in the "
                      "first request; later ones repeat or leave them out");
}

}  // namespace timbre
