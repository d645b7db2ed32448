// k-means over frames.
#ifndef TIMBRE_SERVER_ENGINE_TRAIN_KMEANS_H_
#define TIMBRE_SERVER_ENGINE_TRAIN_KMEANS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "server/engine/frames/metric.h"
#include "server/engine/lists/coarse_quantizer.h"
#include "server/engine/train/build_team.h"
#include "server/kernels/kernels.h"

namespace timbre {

struct KMeansPlan {
  uint32_t k = 1;  // 1..rows
  uint32_t dimension = 0;
  // kL2: frames go to the centroid of the least squared distance. The others:
  // to that of the largest inner product, centroids being of unit length.
  Metric metric = Metric::kL2;
  uint64_t seed = 0;
};

// The frames that k-means for `k` centroids should be given: more do not make
// the centroids better.
uint64_t KMeansRows(uint64_t k);

// The centroids ([k, dimension]) of `rows` ([rows, dimension]): Lloyd's
// algorithm, the first iterations on every eighth, fourth and second frame,
// until an iteration makes little difference. A centroid that no frame is near
// to moves to the frame that is farthest from its own; where there are fewer
// different frames than centroids, some centroids stay without. The same
// numbers for the same seed, whatever the number of threads. Memory: 16 bytes a
// frame, and some three times that of the centroids. CANCELLED.
absl::StatusOr<std::vector<float>> TrainKMeans(std::span<const float> rows,
                                               const KMeansPlan& plan,
                                               const KernelTable& kernels,
                                               BuildTeam& team);

// nearest[i] = the centroid that row i is nearest to, ties to the smaller; up
// to the rounding of floats. Row i begins at rows[i * stride].
void AssignRows(const CoarseQuantizer& centroids, const float* rows,
                size_t stride, CoarseScratch& scratch,
                std::span<uint32_t> nearest);

// Sorts rows by their group: those of group g become rows[begin[g]] ...
// rows[begin[g + 1] - 1], in increasing order. groups[i] < count.
void GroupRows(std::span<const uint32_t> groups, uint32_t count,
               AlignedVector<uint32_t>& begin, AlignedVector<uint32_t>& rows);

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_TRAIN_KMEANS_H_
