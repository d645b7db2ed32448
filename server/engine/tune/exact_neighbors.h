// The true neighbours of many frames, for measuring what an index misses.
#ifndef TIMBRE_SERVER_ENGINE_TUNE_EXACT_NEIGHBORS_H_
#define TIMBRE_SERVER_ENGINE_TUNE_EXACT_NEIGHBORS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "server/engine/search/speaker_index.h"
#include "server/engine/train/build_team.h"

namespace timbre {

// Neighbours of [rows] frames, nearest first, as SpeakerIndex finds them.
struct NeighborTable {
  uint32_t k = 0;
  std::vector<int64_t> ids;      // [rows, k]; -1 where there are fewer
  std::vector<float> distances;  // [rows, k]
  // What finding them took, of all threads, without preparing the rows, which
  // many frames share.
  double seconds = 0;
};

// The `k` nearest of all rows of `index` to each of `frames` ([rows,
// dimension]), by its metric. Every row is compared, a few thousand at a time
// by a CoarseQuantizer of their own: int8 arithmetic with bounds, a quarter of
// the time of floats. Memory: some MB, 12 * k bytes a frame, and up to 16 * k
// a frame and thread.
// CANCELLED, DATA_LOSS.
absl::StatusOr<NeighborTable> ExactNeighbors(const SpeakerIndex& index,
                                             std::span<const float> frames,
                                             uint32_t k, BuildTeam& team);

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_TUNE_EXACT_NEIGHBORS_H_
