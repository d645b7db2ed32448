// Training of inverted-file indices: centroids, lists and codes.
//
// Functions run on the threads of a BuildTeam, give the same numbers for the
// same seed whatever their number, and CANCELLED when the build is.
#ifndef TIMBRE_SERVER_ENGINE_TRAIN_TRAINING_H_
#define TIMBRE_SERVER_ENGINE_TRAIN_TRAINING_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "server/engine/frames/frame_store.h"
#include "server/engine/frames/metric.h"
#include "server/engine/lists/index_spec.h"
#include "server/engine/lists/ivf_parts.h"
#include "server/engine/train/build_team.h"
#include "server/kernels/kernels.h"

namespace timbre {

// What to train on, and with what. The caller asks frames.Check() afterwards
// whether all of them could be read.
struct TrainingInput {
  const FrameStore& frames;  // float32; of unit norm for kCosine
  Metric metric = Metric::kL2;
  uint64_t seed = 0;
  const KernelTable& kernels;
  BuildTeam& team;

  const float* Row(uint64_t id) const {
    return reinterpret_cast<const float*>(frames.RawRow(id));
  }
};

// The centres of k-means, [k, dimension]; 1 <= k <= rows.
absl::StatusOr<std::vector<float>> TrainCenters(const TrainingInput& input,
                                                uint32_t k);

// Trains spec.nlist centroids (<= rows) and says which rows are nearest to
// each.
absl::StatusOr<IvfParts> TrainLists(const TrainingInput& input,
                                    const IndexSpec& spec);

// The same with a product quantizer of the frames themselves, no residuals: one
// look-up table serves every list.
absl::StatusOr<CodedLists> TrainCodedLists(const TrainingInput& input,
                                           const IndexSpec& spec);

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_TRAIN_TRAINING_H_
