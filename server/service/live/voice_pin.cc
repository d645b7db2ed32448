#include "server/service/live/voice_pin.h"

#include <cmath>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/catalog/records/speaker_name.h"
#include "server/service/contract/speaker_metadata.h"

namespace timbre {
namespace {

std::string VoiceField(int i, absl::string_view name) {
  return absl::StrCat("voices[", i, "].", name);
}

// The weights of `voices`, normalised to sum 1.
absl::StatusOr<std::vector<float>> Normalised(const VoicePin::Voices& voices) {
  double sum = 0;
  for (int i = 0; i < voices.size(); ++i) {
    const float weight = voices[i].weight();
    if (!(weight >= 0) || std::isinf(weight)) {
      return InvalidField(VoiceField(i, "weight"), absl::StrCat(weight),
                          "0 or more, finite");
    }
    sum += weight;
  }
  if (sum == 0) {
    return InvalidField("voices", "only weights of 0", "one above 0");
  }
  std::vector<float> weights;
  weights.reserve(voices.size());
  for (const v1::VoiceWeight& voice : voices) {
    weights.push_back(static_cast<float>(voice.weight() / sum));
  }
  return weights;
}

absl::StatusOr<std::vector<VoiceName>> Named(const VoicePin::Voices& voices) {
  std::vector<VoiceName> wanted;
  for (int i = 0; i < voices.size(); ++i) {
    TIMBRE_RETURN_IF_ERROR(
        CheckSpeakerName(voices[i].speaker(), VoiceField(i, "speaker")));
    wanted.push_back({voices[i].speaker(), voices[i].version()});
  }
  return wanted;
}

}  // namespace

absl::Status VoicePin::Accept(absl::string_view metadata,
                              const std::string& speaker, uint64_t version) {
  if (!resolved_) {
    TIMBRE_RETURN_IF_ERROR(CheckSpeakerName(speaker));
    TIMBRE_RETURN_IF_ERROR(CheckSpeakerMetadata(metadata, speaker));
    wanted_ = {{speaker, version}};
    return absl::OkStatus();
  }
  if (!mixed()) return CheckSame(0, "", speaker, version);
  if (speaker.empty() && version == 0) return absl::OkStatus();
  return InvalidField("speaker",
                      absl::StrCat("\"", speaker, "\", version ", version),
                      "empty: this stream mixes voices");
}

absl::Status VoicePin::AcceptVoices(absl::string_view metadata,
                                    const Voices& voices) {
  if (resolved_ && !mixed()) {
    return InvalidField("voices", absl::StrCat(voices.size(), " voices"),
                        "none: this stream has one speaker");
  }
  if (voices.size() > kMaxVoices) {
    return InvalidField("voices", absl::StrCat(voices.size(), " voices"),
                        absl::StrCat("1..", kMaxVoices));
  }
  TIMBRE_ASSIGN_OR_RETURN(std::vector<float> weights, Normalised(voices));
  if (!resolved_) {
    TIMBRE_ASSIGN_OR_RETURN(wanted_, Named(voices));
    TIMBRE_RETURN_IF_ERROR(
        CheckSpeakerMetadata(metadata, wanted_.front().speaker));
  } else if (static_cast<size_t>(voices.size()) != weights_.size()) {
    return InvalidField(
        "voices", absl::StrCat(voices.size(), " voices"),
        absl::StrCat(weights_.size(), ", those of the stream, or none"));
  }
  for (int i = 0; resolved_ && i < voices.size(); ++i) {
    TIMBRE_RETURN_IF_ERROR(CheckSame(i, VoiceField(i, ""), voices[i].speaker(),
                                     voices[i].version()));
  }
  weights_ = std::move(weights);
  return absl::OkStatus();
}

absl::Status VoicePin::Pin(std::vector<Lease> leases) {
  for (size_t i = 1; i < leases.size(); ++i) {
    const uint32_t first = leases[0]->record->manifest.dimension();
    const uint32_t other = leases[i]->record->manifest.dimension();
    if (other == first) continue;
    return InvalidField(
        VoiceField(static_cast<int>(i), "speaker"),
        absl::StrCat("\"", wanted_[i].speaker, "\" of ", other, " dimensions"),
        absl::StrCat(first, " dimensions, those of \"", wanted_[0].speaker,
                     "\""));
  }
  for (size_t i = 0; i < leases.size(); ++i) {
    wanted_[i].version = leases[i]->record->manifest.version();
  }
  resolved_ = true;
  leases_ = std::move(leases);
  return absl::OkStatus();
}

absl::Status VoicePin::CheckSame(size_t i, const std::string& prefix,
                                 const std::string& speaker,
                                 uint64_t version) const {
  if (!speaker.empty() && speaker != wanted_[i].speaker) {
    return InvalidField(
        absl::StrCat(prefix, "speaker"), absl::StrCat("\"", speaker, "\""),
        absl::StrCat("\"", wanted_[i].speaker, "\", the stream's, or empty"));
  }
  const uint64_t pinned_version = wanted_[i].version;
  if (version != 0 && version != pinned_version) {
    return InvalidField(absl::StrCat(prefix, "version"), absl::StrCat(version),
                        absl::StrCat(pinned_version, ", the stream's, or 0"));
  }
  return absl::OkStatus();
}

}  // namespace timbre
