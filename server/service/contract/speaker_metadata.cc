#include "server/service/contract/speaker_metadata.h"

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"

namespace timbre {

absl::Status CheckSpeakerMetadata(absl::string_view metadata,
                                  const std::string& speaker) {
  if (metadata.empty() || metadata == speaker) return absl::OkStatus();
  return InvalidField("timbre-speaker", absl::StrCat("\"", metadata, "\""),
                      absl::StrCat("\"", speaker, "\", the request's speaker"));
}

}  // namespace timbre
