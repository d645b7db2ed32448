#include "client/load/voices.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/files/synth.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"

namespace timbre::load {
namespace {

constexpr uint64_t kFirstSeed = 100;
constexpr uint64_t kFramesPerMessage = 1000;

constexpr uint64_t kUsualFrames = 20'000;
constexpr uint32_t kUsualDimension = 256;

struct Size {
  uint64_t frames;
  uint32_t dimension;
};

// Of the active version; nothing if there is no such voice.
absl::StatusOr<std::optional<Size>> SizeOf(client::Client& client,
                                           const std::string& name) {
  const auto speaker = client.GetSpeaker(name);
  if (speaker.status().code() == absl::StatusCode::kNotFound) {
    return std::nullopt;
  }
  TIMBRE_RETURN_IF_ERROR(speaker.status());
  for (const v1::SpeakerVersion& version : speaker->versions()) {
    if (version.active()) return Size{version.frames(), version.dimension()};
  }
  return std::nullopt;
}

// `wanted` 0: whatever there is.
absl::Status Check(const std::string& option, uint64_t wanted,
                   const std::string& name, uint64_t there) {
  if (wanted == 0 || wanted == there) return absl::OkStatus();
  return InvalidField(
      option, absl::StrCat(wanted),
      absl::StrCat(there, ", as ", name,
                   " is already: leave the option out, or delete the voice"));
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
    TIMBRE_ASSIGN_OR_RETURN(std::optional<Size> size, SizeOf(client, names[i]));
    if (!size && !options.speakers.empty()) {
      return MakeError(absl::StatusCode::kNotFound, "SPEAKER_NOT_FOUND",
                       absl::StrCat("--speaker=", names[i],
                                    ": no such voice with an active version"));
    }
    if (!size) {
      size = {options.frames != 0 ? options.frames : kUsualFrames,
              options.dimension != 0 ? options.dimension : kUsualDimension};
      say(absl::StrCat("building ", names[i], ", ", size->frames, " frames of ",
                       size->dimension, " numbers"));
      client::FeatureSynth synth(kFirstSeed + i, size->dimension);
      TIMBRE_RETURN_IF_ERROR(
          BuildVoice(client, names[i], synth.Next(size->frames)));
    }
    TIMBRE_RETURN_IF_ERROR(
        Check("--dimension", options.dimension, names[i], size->dimension));
    TIMBRE_RETURN_IF_ERROR(
        Check("--voice_frames", options.frames, names[i], size->frames));
    if (i > 0 && size->dimension != voices.dimension) {
      return InvalidField(
          "--speaker", names[i],
          absl::StrCat("voices of one dimension; it has ", size->dimension,
                       ", ", names[0], " has ", voices.dimension));
    }
    voices.dimension = size->dimension;
    voices.voices.push_back({names[i]});
  }
  return voices;
}

}  // namespace timbre::load
