#include "server/service/voice_pin.h"

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/catalog/speaker_name.h"

namespace timbre {

absl::Status CheckSpeakerMetadata(absl::string_view metadata,
                                  const std::string& speaker) {
  if (metadata.empty() || metadata == speaker) return absl::OkStatus();
  return InvalidField("timbre-speaker", absl::StrCat("\"", metadata, "\""),
                      absl::StrCat("\"", speaker, "\", the request's speaker"));
}

absl::Status VoicePin::Accept(absl::string_view metadata,
                              const std::string& speaker, uint64_t version) {
  if (pinned()) {
    if (!speaker.empty() && speaker != speaker_) {
      return InvalidField(
          "speaker", absl::StrCat("\"", speaker, "\""),
          absl::StrCat("\"", speaker_, "\", the stream's, or empty"));
    }
    const uint64_t pinned_version = lease_->record->manifest.version();
    if (version != 0 && version != pinned_version) {
      return InvalidField("version", absl::StrCat(version),
                          absl::StrCat(pinned_version, ", the stream's, or 0"));
    }
    return absl::OkStatus();
  }
  TIMBRE_RETURN_IF_ERROR(CheckSpeakerName(speaker));
  TIMBRE_RETURN_IF_ERROR(CheckSpeakerMetadata(metadata, speaker));
  speaker_ = speaker;
  wanted_ = version;
  return absl::OkStatus();
}

}  // namespace timbre
