#include "client/load/voices.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cpp/synth.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"

namespace timbre::load {
namespace {

constexpr uint64_t kFirstSeed = 100;
constexpr uint64_t kFramesPerMessage = 1000;

// The dimension of the active version; nothing if there is no such voice.
absl::StatusOr<std::optional<uint32_t>> DimensionOf(client::Client& client,
                                                    const std::string& name) {
  const auto speaker = client.GetSpeaker(name);
  if (speaker.status().code() == absl::StatusCode::kNotFound) {
    return std::nullopt;
  }
  TIMBRE_RETURN_IF_ERROR(speaker.status());
  for (const v1::SpeakerVersion& version : speaker->versions()) {
    if (version.active()) return version.dimension();
  }
  return std::nullopt;
}

}  // namespace

absl::Status BuildVoice(client::Client& client, const std::string& speaker,
                        const client::FrameMatrix& frames) {
  v1::BuildOptions options;
  options.set_speaker(speaker);
  options.set_dimension(frames.columns);
  options.set_expected_frames(frames.rows);
  uint64_t done = 0;
  return client
      .Build(
          options,
          [&]() -> absl::StatusOr<std::optional<client::FrameMatrix>> {
            if (done == frames.rows) return std::nullopt;
            const uint64_t some =
                std::min(kFramesPerMessage, frames.rows - done);
            client::FrameMatrix part{
                {frames.row(done), frames.row(done) + some * frames.columns},
                some,
                frames.columns};
            done += some;
            return part;
          },
          [](const v1::BuildProgress&) {})
      .status();
}

absl::StatusOr<Voices> PrepareVoices(
    client::Client& client, const VoiceOptions& options,
    const std::function<void(const std::string&)>& say) {
  std::vector<std::string> names = options.speakers;
  for (uint32_t i = 0; options.speakers.empty() && i < options.count; ++i) {
    names.push_back(absl::StrFormat("load-%02d", i));
  }
  Voices voices;
  for (size_t i = 0; i < names.size(); ++i) {
    TIMBRE_ASSIGN_OR_RETURN(std::optional<uint32_t> dimension,
                            DimensionOf(client, names[i]));
    if (!dimension && !options.speakers.empty()) {
      return MakeError(absl::StatusCode::kNotFound, "SPEAKER_NOT_FOUND",
                       absl::StrCat("--speaker=", names[i],
                                    ": no such voice with an active version"));
    }
    if (!dimension) {
      say(absl::StrCat("building ", names[i], ", ", options.frames,
                       " frames of ", options.dimension, " numbers"));
      client::FeatureSynth synth(kFirstSeed + i, options.dimension);
      TIMBRE_RETURN_IF_ERROR(
          BuildVoice(client, names[i], synth.Next(options.frames)));
      dimension = options.dimension;
    }
    if (i > 0 && *dimension != voices.dimension) {
      return InvalidField(
          "--speaker", names[i],
          absl::StrCat("voices of one dimension; it has ", *dimension, ", ",
                       names[0], " has ", voices.dimension));
    }
    voices.dimension = *dimension;
    voices.voices.push_back({names[i]});
  }
  return voices;
}

}  // namespace timbre::load
