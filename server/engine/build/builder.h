// From received frames to the files of a version.
#ifndef TIMBRE_SERVER_ENGINE_BUILD_BUILDER_H_
#define TIMBRE_SERVER_ENGINE_BUILD_BUILDER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/element_type.h"
#include "server/base/file_system.h"
#include "server/engine/frames/metric.h"
#include "server/engine/lists/index_spec.h"
#include "server/engine/search/speaker_index.h"
#include "server/engine/train/build_observer.h"
#include "server/engine/tune/operating_point.h"
#include "server/kernels/kernels.h"

namespace timbre {

struct BuildPlan {
  FileSystem* files = &FileSystem::Posix();
  std::string source_path;     // float32 .npy written by FrameWriter, consumed
  std::string work_directory;  // exists; ours alone, for what lies between
  // What is made, of the same file system as the source.
  std::string frames_path;  // .npy
  std::string index_path;   // faiss's format
  uint64_t rows = 0;        // >= 1
  uint32_t dimension = 0;
  bool fits_half = false;  // every value survives float16
  Metric metric = Metric::kL2;
  std::optional<IndexSpec> spec;       // absent: ChooseIndexSpec
  std::optional<ElementType> storage;  // absent: float16 where it loses nothing
  uint64_t reduce_to_centroids = 0;    // 0, or no fewer than rows: off
  uint32_t database_expansion_k = 0;   // 0: off; after the reduction
  float database_expansion_alpha = 3;
  uint64_t seed = 0;
  float target_recall = kDefaultTargetRecall;  // of the tuned defaults
  int threads = 1;
};

struct BuildResult {
  IndexSpec spec;  // resolved
  ElementType storage = ElementType::kFloat32;
  uint64_t rows = 0;
  Tuning tuning;
  std::vector<std::string> warnings;
};

// Writes plan.frames_path and plan.index_path, both synced (their directories
// are not), removes plan.source_path, and measures what the index
// finds. Runs on the calling thread for as long as training takes; memory stays
// below the size of the frames as float32, three times that of the centroids
// and 200 MB, besides mapped pages that are released as they are used up.
// CANCELLED where the observer says so.
absl::StatusOr<BuildResult> BuildIndex(const BuildPlan& plan,
                                       const KernelTable& kernels,
                                       BuildObserver& observer);

// Opens what BuildIndex has made.
absl::StatusOr<std::unique_ptr<SpeakerIndex>> OpenBuilt(
    const BuildPlan& plan, const BuildResult& result,
    const KernelTable& kernels);

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_BUILD_BUILDER_H_
