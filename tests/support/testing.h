// What many tests need: a directory of their own, frames, exact search.
#ifndef TIMBRE_TESTS_SUPPORT_TESTING_H_
#define TIMBRE_TESTS_SUPPORT_TESTING_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cpp/matrix.h"
#include "server/engine/build/builder.h"
#include "server/engine/frames/metric.h"
#include "server/engine/search/speaker_index.h"
#include "server/engine/train/build_observer.h"

namespace timbre::testing {

using client::FrameMatrix;

// A directory that goes with the object.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Speech-like frames (client/cpp/synth.h).
FrameMatrix Speech(uint64_t frames, uint32_t dimension, uint64_t voice);

// Ids and distances of exact search in double precision, nearest first, ties by
// id; distances as the contract's.
struct Exact {
  std::vector<int64_t> ids;
  std::vector<double> distances;
};
Exact ExactSearch(const FrameMatrix& frames, const float* query, Metric metric,
                  size_t k);

// Observes nothing.
class NullObserver : public BuildObserver {
 public:
  void OnProgress(BuildStage, double) override {}
  bool cancelled() const override { return false; }
};

// What builds leave in a directory; as the catalogue calls them.
inline constexpr char kBuiltFrames[] = "total_fea.npy";
inline constexpr char kBuiltIndex[] = "added.index";

// Runs BuildIndex over `frames` in `directory`.
struct BuildRequest {
  Metric metric = Metric::kL2;
  std::string factory;  // empty: chosen
  std::optional<ElementType> storage;
  uint64_t reduce_to_centroids = 0;
  float target_recall = kDefaultTargetRecall;
  int threads = 1;
  uint32_t database_expansion_k = 0;
  FileSystem* files = &FileSystem::Posix();
};
absl::StatusOr<BuildResult> BuildFrames(const std::string& directory,
                                        const FrameMatrix& frames,
                                        const BuildRequest& request = {});

// Opens what BuildFrames made.
absl::StatusOr<std::unique_ptr<SpeakerIndex>> OpenBuilt(
    const std::string& directory, const BuildResult& result, uint32_t dimension,
    Metric metric, const KernelTable& kernels);

}  // namespace timbre::testing

#define ASSERT_OK(expression)                                          \
  do {                                                                 \
    const auto& assert_ok_ = (expression);                             \
    ASSERT_TRUE(assert_ok_.ok()) << timbre::testing::Text(assert_ok_); \
  } while (false)

namespace timbre::testing {

inline std::string Text(const absl::Status& status) {
  return status.ToString();
}
template <typename T>
std::string Text(const absl::StatusOr<T>& status) {
  return status.status().ToString();
}

}  // namespace timbre::testing

#endif  // TIMBRE_TESTS_SUPPORT_TESTING_H_
