// What the messages of a Blend stream are blended with: one voice, or several
// mixed into one.
#ifndef TIMBRE_SERVER_SERVICE_VOICE_BLEND_H_
#define TIMBRE_SERVER_SERVICE_VOICE_BLEND_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/engine/blender.h"
#include "server/engine/speaker_index.h"
#include "server/kernels/kernels.h"
#include "server/service/exchange_handler.h"
#include "server/service/search_params.h"
#include "server/service/voice_pin.h"
#include "timbre/v1/retrieval.pb.h"

namespace timbre {

// One message: Begin, then Piece until all of its frames are blended, then what
// it came to. With several voices, out = sum(weight * that voice's blend),
// which is rate * sum(weight * its weighted mean) + (1 - rate) * frame. Keeps
// its memory between messages. Not thread-safe.
class VoiceBlend {
 public:
  // `pin` is pinned and outlives the message; `params` are checked.
  absl::Status Begin(const VoicePin& pin, const v1::BlendParams& params);
  // Of the voice whose settings are reported, and give way first: the first
  // with a weight and lists, if there is one.
  const ResolvedBlend& leading() const { return voices_[leading_].blend; }
  const LoadedVersion& leading_version() const {
    return *voices_[leading_].version;
  }

  // Blends frames [first, first + rows) of scratch.frames, at scratch.rates,
  // into scratch.out. `settings` are what a latency budget leaves of
  // leading()'s, for every voice; nullopt: the frames pass through.
  absl::Status Piece(uint64_t first, uint64_t rows,
                     const std::optional<SearchSettings>& settings,
                     WorkerScratch& scratch);

  // Over the message so far, as BlendResponse has them.
  float mean_distance() const;
  float mean_shift() const;
  absl::Duration search_time() const { return search_time_; }
  absl::Duration blend_time() const { return blend_time_; }

 private:
  struct Voice {
    const LoadedVersion* version = nullptr;
    const SpeakerIndex* index = nullptr;
    float weight = 1;
    ResolvedBlend blend;
    BlendTotals totals;
  };

  absl::Status BlendVoice(Voice& voice, const SearchSettings& settings,
                          const float* frames, uint64_t rows,
                          const float* rates, WorkerScratch& scratch,
                          float* out);
  size_t Leading() const;
  absl::Status MixVoices(const SearchSettings& settings, const float* frames,
                         uint64_t rows, const float* rates,
                         WorkerScratch& scratch, float* out);

  std::vector<Voice> voices_;
  size_t leading_ = 0;
  BlendTotals mixed_;  // shift of several voices mixed
  absl::Duration search_time_;
  absl::Duration blend_time_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_VOICE_BLEND_H_
