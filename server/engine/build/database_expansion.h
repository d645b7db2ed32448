// Alpha query expansion of the database side.
//
// Each row becomes the weighted mean of its nearest rows, itself among them,
// with weights max(0, cosine)^alpha (Radenovic, Tolias, Chum, "Fine-tuning CNN
// image retrieval with no human annotation", PAMI 41, 2019; on the database
// side Turcot, Lowe, "Better matching with fewer features", 2009).
#ifndef TIMBRE_SERVER_ENGINE_BUILD_DATABASE_EXPANSION_H_
#define TIMBRE_SERVER_ENGINE_BUILD_DATABASE_EXPANSION_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "server/engine/build/builder.h"

namespace timbre {

struct ExpandedFrames {
  std::string path;  // float32 .npy
  bool fits_half = false;
};

// Expands plan.frames_path, which is consumed, into a file in
// plan.work_directory. Neighbours are found with an index of the rows that is
// tuned to a recall of 0.99, by the plan's metric, or by the cosine where that
// is the inner product, which favours long rows. CANCELLED.
absl::StatusOr<ExpandedFrames> ExpandFrames(const BuildPlan& plan,
                                            const KernelTable& kernels,
                                            BuildObserver& observer);

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_BUILD_DATABASE_EXPANSION_H_
