// k-means against its definition, in double precision.
#include "server/engine/train/kmeans.h"

#include <algorithm>
#include <limits>
#include <set>

#include "tests/support/testing.h"

namespace timbre {
namespace {

using testing::NullObserver;
using testing::Speech;

double SquaredL2(const float* a, const float* b, size_t n) {
  double sum = 0;
  for (size_t j = 0; j < n; ++j) {
    const double x = double{a[j]} - b[j];
    sum += x * x;
  }
  return sum;
}

// The mean squared distance of rows to their nearest centroids.
double Inertia(const std::vector<float>& rows,
               const std::vector<float>& centroids, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < rows.size(); i += n) {
    double least = std::numeric_limits<double>::infinity();
    for (size_t c = 0; c < centroids.size(); c += n) {
      least = std::min(least, SquaredL2(&rows[i], &centroids[c], n));
    }
    sum += least;
  }
  return sum / (static_cast<double>(rows.size()) / n);
}

// Lloyd's algorithm in plain loops, from `centroids`.
std::vector<float> PlainLloyd(const std::vector<float>& rows,
                              std::vector<float> centroids, size_t n,
                              int iterations) {
  const size_t k = centroids.size() / n;
  for (int iteration = 0; iteration < iterations; ++iteration) {
    std::vector<double> sums(centroids.size());
    std::vector<double> counts(k);
    for (size_t i = 0; i < rows.size(); i += n) {
      size_t nearest = 0;
      double least = std::numeric_limits<double>::infinity();
      for (size_t c = 0; c < k; ++c) {
        const double d = SquaredL2(&rows[i], &centroids[c * n], n);
        if (d >= least) continue;
        least = d;
        nearest = c;
      }
      ++counts[nearest];
      for (size_t j = 0; j < n; ++j) sums[nearest * n + j] += rows[i + j];
    }
    for (size_t c = 0; c < k; ++c) {
      if (counts[c] == 0) continue;
      for (size_t j = 0; j < n; ++j) {
        centroids[c * n + j] = static_cast<float>(sums[c * n + j] / counts[c]);
      }
    }
  }
  return centroids;
}

std::vector<float> Train(const std::vector<float>& rows, const KMeansPlan& plan,
                         int threads = 2,
                         const KernelTable& kernels = BestKernels()) {
  NullObserver observer;
  BuildTeam team(threads, observer);
  const auto centroids = TrainKMeans(rows, plan, kernels, team);
  EXPECT_TRUE(centroids.ok());
  return *centroids;
}

TEST(KMeansTest, ComesWithinTwoPercentOfFullLloyd) {
  constexpr size_t kDimension = 32;
  const auto frames = Speech(4000, kDimension, 1);
  const auto ours =
      Train(frames.data, {.k = 64, .dimension = kDimension, .seed = 1});
  double best = std::numeric_limits<double>::infinity();
  for (const size_t first : {0, 1, 2}) {
    std::vector<float> start;
    for (size_t c = 0; c < 64; ++c) {
      const auto row = frames.data.begin() + static_cast<std::ptrdiff_t>(
                                                 (first + c * 62) * kDimension);
      start.insert(start.end(), row, row + kDimension);
    }
    const auto plain = PlainLloyd(frames.data, start, kDimension, 40);
    best = std::min(best, Inertia(frames.data, plain, kDimension));
  }
  EXPECT_LE(Inertia(frames.data, ours, kDimension), 1.02 * best);
}

TEST(KMeansTest, ThreadsDoNotChangeWhatIsFound) {
  const auto frames = Speech(5000, 256, 1);
  const KMeansPlan plan{.k = 100, .dimension = 256, .seed = 5};
  const auto alone = Train(frames.data, plan, 1);
  EXPECT_EQ(Train(frames.data, plan, 2), alone);
  EXPECT_EQ(Train(frames.data, plan, 7), alone);
  EXPECT_NE(Train(frames.data, {.k = 100, .dimension = 256, .seed = 6}), alone);
}

TEST(KMeansTest, EveryFrameMayHaveItsOwnCentroid) {
  const auto frames = Speech(39, 16, 3);
  const auto centroids = Train(frames.data, {.k = 39, .dimension = 16});
  EXPECT_LE(Inertia(frames.data, centroids, 16), 1e-6);
}

TEST(KMeansTest, EqualFramesLeaveCentroidsForTheOthers) {
  // 900 frames of silence, and 30 different ones.
  auto frames = Speech(30, 16, 4);
  std::vector<float> rows(900 * 16, 0.25F);
  rows.insert(rows.end(), frames.data.begin(), frames.data.end());
  const auto centroids = Train(rows, {.k = 31, .dimension = 16});
  EXPECT_LE(Inertia(rows, centroids, 16),
            0.1 * Inertia(rows, Train(rows, {.k = 3, .dimension = 16}), 16));
  const auto same =
      Train(std::vector<float>(500 * 16, 2.0F), {.k = 10, .dimension = 16});
  EXPECT_EQ(std::set<float>(same.begin(), same.end()), std::set<float>{2.0F});
}

TEST(KMeansTest, CentroidsOfInnerProductsAreDirections) {
  const auto frames = Speech(2000, 64, 1);
  const auto centroids = Train(
      frames.data,
      {.k = 50, .dimension = 64, .metric = Metric::kInnerProduct, .seed = 1});
  const std::vector<float> origin(64);
  for (size_t c = 0; c < 50; ++c) {
    EXPECT_NEAR(SquaredL2(&centroids[c * 64], origin.data(), 64), 1, 1e-5);
  }
}

class Cancelled : public BuildObserver {
 public:
  void OnProgress(BuildStage, double) override {}
  bool cancelled() const override { return true; }
};

TEST(KMeansTest, ACancelledBuildEndsIt) {
  const auto frames = Speech(500, 16, 1);
  Cancelled observer;
  BuildTeam team(2, observer);
  EXPECT_EQ(
      TrainKMeans(frames.data, {.k = 20, .dimension = 16}, BestKernels(), team)
          .status()
          .code(),
      absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace timbre
