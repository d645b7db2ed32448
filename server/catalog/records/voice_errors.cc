#include "server/catalog/records/voice_errors.h"

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"

namespace timbre {

absl::Status NoSpeaker(absl::string_view speaker) {
  return MakeError(
      absl::StatusCode::kNotFound, "SPEAKER_NOT_FOUND",
      absl::StrCat("speaker: there is no voice \"", Printable(speaker), "\""));
}

absl::Status NoVersion(absl::string_view speaker, uint64_t version) {
  return MakeError(absl::StatusCode::kNotFound, "VERSION_NOT_FOUND",
                   absl::StrCat("version: voice \"", speaker,
                                "\" has no version ", version));
}

absl::Status VersionActive(absl::string_view speaker, uint64_t version) {
  return MakeError(absl::StatusCode::kFailedPrecondition, "VERSION_ACTIVE",
                   absl::StrCat("version: ", version, " of voice \"", speaker,
                                "\" is active; activate another first, "
                                "or delete the speaker"));
}

absl::Status SpeakerDeleted(absl::string_view speaker) {
  return MakeError(
      absl::StatusCode::kAborted, "SPEAKER_DELETED",
      absl::StrCat("voice \"", speaker, "\" was deleted while the build ran"));
}

absl::Status VersionDeleted(absl::string_view speaker, uint64_t version) {
  return MakeError(absl::StatusCode::kAborted, "VERSION_DELETED",
                   absl::StrCat("version ", version, " of voice \"", speaker,
                                "\" was deleted while it was tuned"));
}

}  // namespace timbre
