#include "server/service/live/voice_blend.h"

#include <algorithm>
#include <cmath>

#include "server/base/monotonic_clock.h"
#include "server/base/status_macros.h"

namespace timbre {
namespace {

// `own` times left / asked, at least `least`.
uint32_t Scaled(uint32_t own, uint32_t asked, uint32_t left, uint32_t least) {
  if (left >= asked) return own;
  return std::max(least, static_cast<uint32_t>(uint64_t{own} * left / asked));
}

// What the budget took from the leading voice it takes from every one.
SearchSettings Lowered(const SearchSettings& own, const SearchSettings& asked,
                       const SearchSettings& left) {
  return {.k = own.k,
          .nprobe = Scaled(own.nprobe, asked.nprobe, left.nprobe, 1),
          .candidates =
              Scaled(own.candidates, asked.candidates, left.candidates, own.k)};
}

void AddShift(const KernelTable& kernels, const float* frames, uint64_t rows,
              size_t n, const float* out, BlendTotals& totals) {
  for (uint64_t i = 0; i < rows; ++i, frames += n, out += n) {
    const double norm = std::sqrt(double{kernels.dot(frames, frames, n)});
    if (!(norm > 0)) continue;
    totals.shift +=
        std::sqrt(double{kernels.squared_l2(frames, out, n)}) / norm;
    ++totals.frames_with_norm;
  }
}

}  // namespace

absl::Status VoiceBlend::Begin(const VoicePin& pin,
                               const v1::BlendParams& params) {
  voices_.resize(pin.leases().size());
  MessageTotals& totals = totals_at_rest();
  totals.voices.assign(voices_.size(), {});
  totals.mixed = {};
  totals.blend_time = absl::ZeroDuration();
  for (size_t i = 0; i < voices_.size(); ++i) {
    const LoadedVersion& version = *pin.leases()[i];
    voices_[i].version = &version;
    voices_[i].index = version.index.get();
    voices_[i].weight = pin.mixed() ? pin.weights()[i] : 1;
    TIMBRE_ASSIGN_OR_RETURN(voices_[i].blend, ResolveBlend(params, version));
  }
  leading_ = Leading();
  return absl::OkStatus();
}

size_t VoiceBlend::Leading() const {
  size_t leading = 0;
  for (size_t i = voices_.size(); i-- > 0;) {
    if (voices_[i].weight > 0) leading = i;
  }
  for (size_t i = leading; i < voices_.size(); ++i) {
    // One without lists has nothing to give way with.
    const bool lists =
        voices_[i].version->record->spec.kind != IndexKind::kFlat;
    if (voices_[i].weight > 0 && lists) return i;
  }
  return leading;
}

absl::Status VoiceBlend::BlendPiece(const Piece& piece,
                                    const BlendMessage& message,
                                    WorkerScratch& scratch) {
  const size_t n = voices_.front().index->dimension();
  const BlendMessage part{.frames = message.frames + piece.first * n,
                          .rates = message.rates + piece.first,
                          .out = message.out + piece.first * n};
  if (!piece.settings) {
    std::copy_n(part.frames, piece.rows * n, part.out);
    return absl::OkStatus();
  }
  PieceTotals totals;
  scratch.totals.assign(voices_.size(), {});
  absl::Status status =
      voices_.size() == 1
          ? BlendVoice(0, *piece.settings, part, piece.rows, scratch, totals)
          : MixVoices(*piece.settings, part, piece.rows, scratch, totals);
  Add(totals, scratch);
  return status;
}

void VoiceBlend::Add(const PieceTotals& totals, const WorkerScratch& scratch) {
  const MutexLock lock(mutex_);
  for (size_t i = 0; i < voices_.size(); ++i) {
    totals_.voices[i] += scratch.totals[i];
  }
  totals_.mixed += totals.mixed;
  totals_.blend_time += totals.blend_time;
}

absl::Status VoiceBlend::MixVoices(const SearchSettings& settings,
                                   const BlendMessage& part, uint64_t rows,
                                   WorkerScratch& scratch,
                                   PieceTotals& totals) const {
  const size_t n = voices_.front().index->dimension();
  scratch.voice.resize(rows * n);
  std::fill_n(part.out, rows * n, 0.0F);
  BlendMessage of_voice = part;
  of_voice.out = scratch.voice.data();
  for (size_t i = 0; i < voices_.size(); ++i) {
    const float weight = voices_[i].weight;
    if (weight == 0) continue;
    const SearchSettings own = Lowered(voices_[i].blend.search.settings,
                                       leading().search.settings, settings);
    TIMBRE_RETURN_IF_ERROR(BlendVoice(i, own, of_voice, rows, scratch, totals));
    for (size_t j = 0; j < rows * n; ++j) {
      part.out[j] += weight * scratch.voice[j];
    }
  }
  AddShift(voices_.front().index->kernels(), part.frames, rows, n, part.out,
           totals.mixed);
  return absl::OkStatus();
}

absl::Status VoiceBlend::BlendVoice(size_t voice,
                                    const SearchSettings& settings,
                                    const BlendMessage& part, uint64_t rows,
                                    WorkerScratch& scratch,
                                    PieceTotals& totals) const {
  const Voice& of = voices_[voice];
  const SpeakerIndex& index = *of.index;
  const size_t n = index.dimension();
  // Search looks at the store when the last tile is blended.
  return index.Search(
      part.frames, rows, settings, scratch.search, [&](const FoundTile& tile) {
        const absl::Time found = MonotonicNow();
        Blend(index, part.frames + tile.first * n, tile.count,
              {settings.k, tile.ids, tile.distances}, part.rates + tile.first,
              of.blend.settings, scratch.blend, part.out + tile.first * n,
              scratch.totals[voice]);
        totals.blend_time += MonotonicNow() - found;
      });
}

float VoiceBlend::mean_distance() const {
  double mean = 0;
  for (size_t i = 0; i < voices_.size(); ++i) {
    const BlendTotals& totals = totals_at_rest().voices[i];
    if (totals.frames_with_neighbor == 0) continue;
    mean += voices_[i].weight * totals.nearest_distance /
            static_cast<double>(totals.frames_with_neighbor);
  }
  return static_cast<float>(mean);
}

float VoiceBlend::mean_shift() const {
  const BlendTotals& totals = voices_.size() == 1
                                  ? totals_at_rest().voices.front()
                                  : totals_at_rest().mixed;
  if (totals.frames_with_norm == 0) return 0;
  return static_cast<float>(totals.shift /
                            static_cast<double>(totals.frames_with_norm));
}

}  // namespace timbre
