// Against exact search in double precision.
#include "server/engine/tune/exact_neighbors.h"

#include <cfloat>
#include <cmath>
#include <tuple>

#include "tests/support/testing.h"

namespace timbre {
namespace {

using testing::BuildFrames;
using testing::ExactSearch;
using testing::FrameMatrix;
using testing::NullObserver;
using testing::OpenBuilt;
using testing::Speech;
using testing::TempDir;

class ExactNeighborsTest
    : public ::testing::TestWithParam<std::tuple<Metric, uint32_t>> {
 protected:
  static constexpr uint32_t kDimension = 48;

  // More than the rows that are compared at once, and some.
  void SetUp() override { Open(Speech(5000, kDimension, 1)); }

  void Open(const FrameMatrix& frames) {
    frames_ = frames;
    const Metric metric = std::get<0>(GetParam());
    const auto built =
        BuildFrames(dir_.path(), frames, {.metric = metric, .factory = "Flat"});
    ASSERT_OK(built);
    auto index =
        OpenBuilt(dir_.path(), *built, kDimension, metric, BestKernels());
    ASSERT_OK(index);
    index_ = *std::move(index);
  }

  NeighborTable Find(const FrameMatrix& queries, uint32_t k, int threads) {
    NullObserver observer;
    BuildTeam team(threads, observer);
    const auto table = ExactNeighbors(*index_, queries.data, k, team);
    EXPECT_TRUE(table.ok());
    return *table;
  }

  TempDir dir_;
  FrameMatrix frames_;
  std::unique_ptr<SpeakerIndex> index_;
};

TEST_P(ExactNeighborsTest, AreThoseOfExactSearch) {
  const auto [metric, k] = GetParam();
  const auto queries = Speech(61, kDimension, 2);
  const NeighborTable table = Find(queries, k, 2);
  ASSERT_EQ(table.ids.size(), queries.rows * k);
  for (size_t i = 0; i < queries.rows; ++i) {
    const auto exact = ExactSearch(frames_, queries.row(i), metric, k);
    for (size_t j = 0; j < k; ++j) {
      ASSERT_NEAR(table.distances[i * k + j], exact.distances[j],
                  1e-5 * std::fabs(exact.distances[j]) + 1e-4)
          << i << " " << j;
    }
  }
}

TEST_P(ExactNeighborsTest, ThreadsChangeNothing) {
  const auto queries = Speech(30, kDimension, 3);
  const uint32_t k = std::get<1>(GetParam());
  const NeighborTable alone = Find(queries, k, 1);
  const NeighborTable together = Find(queries, k, 4);
  EXPECT_EQ(alone.ids, together.ids);
  EXPECT_EQ(alone.distances, together.distances);
}

TEST_P(ExactNeighborsTest, WhereThereAreFewerTheRestIsMissing) {
  Open(Speech(3, kDimension, 1));
  const uint32_t k = std::get<1>(GetParam());
  const NeighborTable table = Find(Speech(5, kDimension, 2), k, 2);
  for (size_t j = 0; j < k; ++j) EXPECT_EQ(table.ids[j] >= 0, j < 3);
}

INSTANTIATE_TEST_SUITE_P(
    Metrics, ExactNeighborsTest,
    ::testing::Combine(::testing::Values(Metric::kL2, Metric::kInnerProduct,
                                         Metric::kCosine),
                       ::testing::Values(1U, 8U, 100U)));

}  // namespace
}  // namespace timbre
