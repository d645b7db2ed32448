// The voices that a load generator converts to.
#ifndef TIMBRE_CLIENT_LOAD_VOICES_H_
#define TIMBRE_CLIENT_LOAD_VOICES_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cpp/client.h"

namespace timbre::load {

struct VoiceOptions {
  std::vector<std::string> speakers;  // use these; empty: make `count`
  uint32_t count = 4;                 // load-00, load-01 ...
  uint64_t frames = 0;     // of each; 0: 20,000 of those that are made
  uint32_t dimension = 0;  // of each; 0: 256 of those that are made
};

struct Voices {
  std::vector<client::VoiceRef> voices;
  uint32_t dimension = 0;
};

// The voices named (NOT_FOUND if one is missing), or load-00 ...: those that
// the server does not have are built of synthetic speech (FeatureSynth), which
// `say` is told. INVALID_ARGUMENT where those that are there are not as the
// options say, or of different dimensions.
absl::StatusOr<Voices> PrepareVoices(
    client::Client& client, const VoiceOptions& options,
    const std::function<void(const std::string&)>& say);

// Builds `speaker` of these frames.
absl::Status BuildVoice(client::Client& client, const std::string& speaker,
                        const client::FrameMatrix& frames);

}  // namespace timbre::load

#endif  // TIMBRE_CLIENT_LOAD_VOICES_H_
