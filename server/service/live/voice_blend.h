// What the messages of a Blend stream are blended with: one voice, or several
// mixed into one.
#ifndef TIMBRE_SERVER_SERVICE_LIVE_VOICE_BLEND_H_
#define TIMBRE_SERVER_SERVICE_LIVE_VOICE_BLEND_H_

#include <cstdint>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/engine/search/blender.h"
#include "server/engine/search/speaker_index.h"
#include "server/kernels/kernels.h"
#include "server/service/contract/search_params.h"
#include "server/service/live/pieces.h"
#include "server/service/live/voice_pin.h"
#include "server/service/live/worker_scratch.h"
#include "timbre/v1/retrieval.pb.h"

namespace timbre {

// A message: its frames, and where their blends go.
struct BlendMessage {
  const float* frames = nullptr;  // [rows, dimension], like `out`
  const float* rates = nullptr;   // [rows]
  float* out = nullptr;
};

// One message: Begin, then BlendPiece until all of its frames are blended, then
// what it came to. With several voices, out = sum(weight * that voice's blend),
// which is rate * sum(weight * its weighted mean) + (1 - rate) * frame. Keeps
// its memory between messages. BlendPiece is thread-safe, the rest is not.
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

  // Blends the frames of `piece` of `message`. Its settings are what a latency
  // budget leaves of leading()'s, for every voice. `scratch` is the thread's.
  absl::Status BlendPiece(const Piece& piece, const BlendMessage& message,
                          WorkerScratch& scratch);

  // Over the message, as BlendResponse has them: summed in the order in which
  // pieces ended, so the last bit may differ from run to run.
  float mean_distance() const;
  float mean_shift() const;
  // Of all threads, added up.
  absl::Duration blend_time() const { return totals_at_rest().blend_time; }

 private:
  struct Voice {
    const LoadedVersion* version = nullptr;
    const SpeakerIndex* index = nullptr;
    float weight = 1;
    ResolvedBlend blend;
  };

  struct MessageTotals {
    std::vector<BlendTotals> voices;
    BlendTotals mixed;  // of several voices: their shift
    absl::Duration blend_time;
  };

  // What a piece adds to the message's totals; those of voices are in the
  // thread's scratch.
  struct PieceTotals {
    BlendTotals mixed;
    absl::Duration blend_time;
  };

  // `part` is of the piece's `rows` alone, like `out` of BlendVoice.
  absl::Status BlendVoice(size_t voice, const SearchSettings& settings,
                          const BlendMessage& part, uint64_t rows,
                          WorkerScratch& scratch, PieceTotals& totals) const;
  absl::Status MixVoices(const SearchSettings& settings,
                         const BlendMessage& part, uint64_t rows,
                         WorkerScratch& scratch, PieceTotals& totals) const;
  void Add(const PieceTotals& totals, const WorkerScratch& scratch);
  // Without the lock, which would be one more for every message: no piece is in
  // work before the first one and after Pieces::Finish.
  MessageTotals& totals_at_rest() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return totals_;
  }
  const MessageTotals& totals_at_rest() const ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return totals_;
  }
  size_t Leading() const;

  std::vector<Voice> voices_;
  size_t leading_ = 0;
  Mutex mutex_;
  MessageTotals totals_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_LIVE_VOICE_BLEND_H_
