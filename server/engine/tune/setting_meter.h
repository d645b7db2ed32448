// What one setting of an index finds and costs.
#ifndef TIMBRE_SERVER_ENGINE_TUNE_SETTING_METER_H_
#define TIMBRE_SERVER_ENGINE_TUNE_SETTING_METER_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/engine/search/blender.h"
#include "server/engine/search/speaker_index.h"
#include "server/engine/train/build_team.h"
#include "server/engine/tune/exact_neighbors.h"
#include "server/engine/tune/operating_point.h"
#include "server/engine/tune/tuning_queries.h"

namespace timbre {

// What a search for `k` neighbours does with a measured setting.
SearchSettings SettingsOf(const OperatingPoint& point, uint32_t k);

// Not thread-safe; refers to its arguments, which must outlive it. Functions
// give CANCELLED and DATA_LOSS.
class SettingMeter {
 public:
  SettingMeter(const SpeakerIndex& index, const TuningQueries& queries,
               uint32_t k, BuildTeam& team);

  // Finds the true neighbours of all queries. Before Measure.
  absl::Status FindTruth();

  // `point` with what its settings find and cost; `candidates`, if it is not 0,
  // instead of what its k_factor says.
  absl::StatusOr<OperatingPoint> Measure(OperatingPoint point,
                                         uint32_t candidates = 0);

  // Exact search as FindTruth did it, not blended: nprobe and k_factor 0.
  OperatingPoint Exact() const;

  // An index without lists, which is exact by itself: a batch tells what a
  // frame costs. Needs no FindTruth.
  absl::StatusOr<OperatingPoint> MeasureFlat();

 private:
  struct Tally;

  // Working memory of one thread.
  struct Worker {
    SearchScratch search;
    BlendScratch blend;
    std::vector<int64_t> ids;
    std::vector<float> distances;
    std::vector<float> approximate;  // [a batch, dimension]
    std::vector<float> exact;        // the same
  };

  // seconds: of a frame of the batch.
  absl::Status MeasureBatch(size_t first, size_t count, SearchSettings settings,
                            Worker& worker, Tally& tally, double& seconds);
  void BlendInto(const float* frames, size_t count, const int64_t* ids,
                 const float* distances, BlendScratch& scratch,
                 std::vector<float>& out) const;
  void CountFound(size_t frame, const float* distances, const int64_t* ids,
                  Tally& tally) const;
  void AddError(const float* approximate, const float* exact,
                Tally& tally) const;

  const SpeakerIndex& index_;
  const size_t n_;
  const size_t rows_;
  const TuningQueries& queries_;
  const uint32_t k_;
  BuildTeam& team_;
  std::vector<Worker> workers_;
  NeighborTable exact_;  // [rows, k]
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_TUNE_SETTING_METER_H_
