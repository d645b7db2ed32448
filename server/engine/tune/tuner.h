// Measuring what settings of an index cost, and what they find.
#ifndef TIMBRE_SERVER_ENGINE_TUNE_TUNER_H_
#define TIMBRE_SERVER_ENGINE_TUNE_TUNER_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "server/engine/search/speaker_index.h"
#include "server/engine/train/build_team.h"
#include "server/engine/tune/operating_point.h"
#include "server/engine/tune/setting_meter.h"
#include "server/engine/tune/tuning_queries.h"

namespace timbre {

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
// less than 0.5 % is missed. An index without lists has one point. Settings and
// what they find are the same whatever the number of threads; times are not.
// CANCELLED, DATA_LOSS.
absl::StatusOr<Measured> MeasureCurve(const SpeakerIndex& index,
                                      const TuningQueries& queries,
                                      const TuningGoal& goal, BuildTeam& team);

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_TUNE_TUNER_H_
