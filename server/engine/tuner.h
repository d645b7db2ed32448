// Measuring what settings of an index cost, and what they find.
#ifndef TIMBRE_SERVER_ENGINE_TUNER_H_
#define TIMBRE_SERVER_ENGINE_TUNER_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "server/engine/build_team.h"
#include "server/engine/operating_point.h"
#include "server/engine/speaker_index.h"

namespace timbre {

// Frames to measure with.
struct TuningQueries {
  std::span<const float> frames;  // [rows, dimension], rows >= 1
  // own[i]: the row that frame i is, which does not count as its neighbour; -1
  // if it is none. Empty: none of them is.
  std::span<const int64_t> own;
};

// Queries that a voice's own frames make.
struct OwnQueries {
  std::vector<float> frames;
  std::vector<int64_t> own;
};

// A quarter are frames of the voice, held out: they are not found themselves.
// The others are like those of another voice, x + (a - b) / 2 with x, a and b
// frames drawn at random: as far from the voice as another voice's frames are,
// in directions in which voices differ. On synthetic speech their recall is
// that of other voices within 0.01 (doc/tuning.md). The same for the same
// seed.
OwnQueries MakeOwnQueries(const FrameStore& store, uint64_t seed, size_t count);

// How many of them a build measures with: as many as a tenth of its time
// allows, 256 to 768.
size_t OwnQueryCount(uint64_t rows);

struct TuningGoal {
  uint32_t k = kMeasuredK;
  // Settings near what reaches it are measured more closely.
  float target_recall = kDefaultTargetRecall;
};

struct Measured {
  Curve curve;
  // For comparison: every row compared (nprobe and k_factor 0), and RVC's way:
  // one list, all of whose rows are compared (none without lists).
  OperatingPoint exact;
  std::optional<OperatingPoint> one_list;
};

// The curve of `index`: recall and blend error against exact search, and the
// CPU time of a frame, searched and blended 64 at once. The grid of nprobe (1,
// 2, 4 ...) and k_factor (1, 2, 4 ...) is climbed, not enumerated: by the step
// that finds more for the work that it adds, until the target is reached and
// less than 0.5 % is missed.
// An index without lists has one point. Settings and what they find are the
// same whatever the number of threads; times are not. CANCELLED, DATA_LOSS.
absl::StatusOr<Measured> MeasureCurve(const SpeakerIndex& index,
                                      const TuningQueries& queries,
                                      const TuningGoal& goal, BuildTeam& team);

// What a search for `k` neighbours does with a measured setting.
SearchSettings SettingsOf(const OperatingPoint& point, uint32_t k);

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_TUNER_H_
