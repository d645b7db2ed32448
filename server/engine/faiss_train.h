// Training with faiss: k-means and product quantizers.
//
// Every function runs on the calling thread and on `threads` - 1 OpenMP
// threads that belong to it; what faiss throws becomes INTERNAL or
// RESOURCE_EXHAUSTED, a build that is cancelled CANCELLED. The same seed gives
// the same result on the same machine.
#ifndef TIMBRE_SERVER_ENGINE_FAISS_TRAIN_H_
#define TIMBRE_SERVER_ENGINE_FAISS_TRAIN_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/engine/build_observer.h"
#include "server/engine/index_spec.h"
#include "server/engine/ivf_parts.h"
#include "server/engine/metric.h"

namespace timbre {

// What to train on, and how.
struct TrainingInput {
  const float* frames = nullptr;  // [rows, dimension]; unit norm for kCosine
  uint64_t rows = 0;              // >= 1
  uint32_t dimension = 0;
  Metric metric = Metric::kL2;
  uint64_t seed = 0;
  int threads = 1;
  BuildObserver* observer = nullptr;
  // Called when rows [first, first + count) were read for the last time.
  std::function<void(uint64_t first, uint64_t count)> release;
};

// The centres of k-means, [k, dimension]; 1 <= k <= rows.
absl::StatusOr<std::vector<float>> TrainCenters(const TrainingInput& input,
                                                uint64_t k, BuildStage stage);

// Trains `nlist` centroids (<= rows) and assigns every row: lists without
// codes.
absl::StatusOr<IvfParts> TrainLists(const TrainingInput& input, uint32_t nlist);

// Trains an IVF-PQ-FastScan index, adds every row, and writes it to `path` as
// a faiss file with `nprobe` in it, synced.
absl::Status TrainCodedIndex(const TrainingInput& input, const IndexSpec& spec,
                             uint32_t nprobe, const std::string& path);

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_FAISS_TRAIN_H_
