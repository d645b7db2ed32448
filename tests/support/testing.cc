#include "tests/support/testing.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "client/files/synth.h"
#include "server/base/checksum.h"
#include "server/base/status_macros.h"
#include "server/engine/frames/frame_writer.h"

namespace timbre::testing {

TempDir::TempDir() {
  std::string pattern =
      (std::filesystem::temp_directory_path() / "timbre-test-XXXXXX").string();
  path_ = mkdtemp(pattern.data());
}

TempDir::~TempDir() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}

FrameMatrix Speech(uint64_t frames, uint32_t dimension, uint64_t voice) {
  return client::FeatureSynth(voice, dimension).Next(frames);
}

Exact ExactSearch(const FrameMatrix& frames, const float* query, Metric metric,
                  size_t k) {
  std::vector<std::pair<double, int64_t>> all;
  for (uint64_t i = 0; i < frames.rows; ++i) {
    double dot = 0;
    double l2 = 0;
    double row_norm = 0;
    double query_norm = 0;
    for (uint32_t j = 0; j < frames.columns; ++j) {
      const double a = query[j];
      const double b = frames.row(i)[j];
      dot += a * b;
      l2 += (a - b) * (a - b);
      row_norm += b * b;
      query_norm += a * a;
    }
    if (metric == Metric::kCosine) {
      dot /= std::max(1e-12, std::sqrt(row_norm)) *
             std::max(1e-12, std::sqrt(query_norm));
    }
    all.emplace_back(metric == Metric::kL2 ? l2 : -dot,
                     static_cast<int64_t>(i));
  }
  k = std::min(k, all.size());
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(k),
                    all.end());
  Exact exact;
  for (size_t i = 0; i < k; ++i) {
    exact.ids.push_back(all[i].second);
    exact.distances.push_back(metric == Metric::kL2 ? all[i].first
                                                    : -all[i].first);
  }
  return exact;
}

absl::StatusOr<BuildResult> BuildFrames(const std::string& directory,
                                        const FrameMatrix& frames,
                                        const BuildRequest& request) {
  const KernelTable& kernels = BestKernels();
  TIMBRE_ASSIGN_OR_RETURN(
      FrameWriter writer,
      FrameWriter::Create(
          directory + "/received.npy", ElementType::kFloat32, frames.columns,
          request.storage == ElementType::kFloat16, kernels, *request.files));
  TIMBRE_RETURN_IF_ERROR(writer.Append(frames.data.data(), frames.rows));
  TIMBRE_RETURN_IF_ERROR(writer.Finish());
  BuildPlan plan{.files = request.files,
                 .source_path = writer.path(),
                 .work_directory = directory,
                 .frames_path = directory + "/" + kBuiltFrames,
                 .index_path = directory + "/" + kBuiltIndex,
                 .rows = frames.rows,
                 .dimension = frames.columns,
                 .fits_half = writer.fits_half(),
                 .metric = request.metric,
                 .spec = std::nullopt,
                 .storage = request.storage,
                 .reduce_to_centroids = request.reduce_to_centroids,
                 .database_expansion_k = request.database_expansion_k,
                 .target_recall = request.target_recall,
                 .threads = request.threads};
  if (!request.factory.empty()) {
    TIMBRE_ASSIGN_OR_RETURN(plan.spec, ParseIndexSpec(request.factory));
  }
  NullObserver observer;
  return BuildIndex(plan, kernels, observer);
}

absl::StatusOr<std::unique_ptr<SpeakerIndex>> OpenBuilt(
    const std::string& directory, const BuildResult& result, uint32_t dimension,
    Metric metric, const KernelTable& kernels) {
  return timbre::OpenBuilt({.frames_path = directory + "/" + kBuiltFrames,
                            .index_path = directory + "/" + kBuiltIndex,
                            .dimension = dimension,
                            .metric = metric},
                           result, kernels);
}

}  // namespace timbre::testing
