// Which lists are visited, against exact assignment in double precision.
#include "server/engine/lists/coarse_quantizer.h"

#include <algorithm>
#include <numeric>

#include "tests/kernels/level_test.h"

namespace timbre {
namespace {

AlignedVector<float> Aligned(const std::vector<float>& numbers) {
  return {numbers.begin(), numbers.end()};
}

class CoarseQuantizerTest : public testing::LevelTest {
 protected:
  // Centroids as speech has them, about a common mean; every list holds one
  // row, but for those in `empty`.
  IvfParts RandomParts(uint32_t nlist, uint32_t dimension,
                       const std::vector<uint32_t>& empty = {}) {
    IvfParts parts;
    parts.nlist = nlist;
    parts.dimension = dimension;
    const auto mean = Floats(dimension);
    parts.centroids = Aligned(Floats(size_t{nlist} * dimension, 0.6F));
    for (size_t i = 0; i < parts.centroids.size(); ++i) {
      parts.centroids[i] += mean[i % dimension];
    }
    parts.list_begin = {0};
    for (uint32_t list = 0; list < nlist; ++list) {
      if (std::count(empty.begin(), empty.end(), list) == 0) {
        parts.ids.push_back(list);
      }
      parts.list_begin.push_back(static_cast<uint32_t>(parts.ids.size()));
    }
    return parts;
  }

  // Vectors of `rank` dimensions within `dimension`, and some noise.
  std::vector<float> LowRank(size_t count, size_t dimension, size_t rank,
                             float noise) {
    if (basis_.size() != rank * dimension) basis_ = Floats(rank * dimension);
    const auto coordinates = Floats(count * rank);
    auto vectors = Floats(count * dimension, noise);
    for (size_t i = 0; i < count; ++i) {
      for (size_t r = 0; r < rank; ++r) {
        for (size_t j = 0; j < dimension; ++j) {
          vectors[i * dimension + j] +=
              coordinates[i * rank + r] * basis_[r * dimension + j];
        }
      }
    }
    return vectors;
  }

  static std::vector<uint32_t> Exact(const IvfParts& parts, Metric metric,
                                     const float* frame, size_t nprobe) {
    std::vector<std::pair<double, uint32_t>> scores;
    for (uint32_t list = 0; list < parts.nlist; ++list) {
      if (parts.List(list).empty()) continue;
      const float* const c = &parts.centroids[size_t{list} * parts.dimension];
      double score = 0;
      for (size_t j = 0; j < parts.dimension; ++j) {
        const double x = frame[j];
        score += metric == Metric::kL2 ? (x - c[j]) * (x - c[j]) : -x * c[j];
      }
      scores.emplace_back(score, list);
    }
    std::sort(scores.begin(), scores.end());
    scores.resize(std::min(nprobe, scores.size()));
    std::vector<uint32_t> lists;
    for (const auto& [score, list] : scores) lists.push_back(list);
    std::sort(lists.begin(), lists.end());
    return lists;
  }

  // The share of frames whose lists are exactly those of Exact.
  double Agreement(const IvfParts& parts, Metric metric, uint32_t nprobe,
                   const std::vector<float>& frames) {
    const CoarseQuantizer coarse(parts, metric, level());
    const size_t rows = frames.size() / parts.dimension;
    CoarseScratch scratch;
    size_t same = 0;
    for (size_t first = 0; first < rows; first += kFramesPerTile) {
      std::array<const float*, kFramesPerTile> tile{};
      std::array<std::vector<uint32_t>, kFramesPerTile> lists;
      const size_t count = std::min(kFramesPerTile, rows - first);
      for (size_t i = 0; i < count; ++i) {
        tile[i] = &frames[(first + i) * parts.dimension];
      }
      PrefetchQueue none;
      coarse.Probe(tile.data(), count, nprobe, none, scratch, lists.data());
      for (size_t i = 0; i < count; ++i) {
        std::sort(lists[i].begin(), lists[i].end());
        same += lists[i] == Exact(parts, metric, tile[i], nprobe) ? 1 : 0;
      }
    }
    return static_cast<double>(same) / static_cast<double>(rows);
  }

 private:
  std::vector<float> basis_;
};

TEST_P(CoarseQuantizerTest, ListsAreThoseOfExactAssignment) {
  for (const Metric metric : {Metric::kL2, Metric::kInnerProduct}) {
    for (const uint32_t dimension : {2U, 31U, 256U}) {
      const IvfParts parts = RandomParts(300, dimension);
      for (const uint32_t nprobe : {1U, 4U, 16U, 299U}) {
        EXPECT_GE(
            Agreement(parts, metric, nprobe, Floats(size_t{1000} * dimension)),
            0.999)
            << MetricName(metric) << " " << dimension << " " << nprobe;
      }
    }
  }
}

TEST_P(CoarseQuantizerTest, OutlierDimensionsChangeNothing) {
  IvfParts parts = RandomParts(512, 256);
  auto frames = Floats(size_t{1000} * 256);
  // As transformers have them: two dimensions with a large mean, one that
  // varies a hundred times as much as the others.
  for (size_t i = 0; i < parts.centroids.size(); i += 256) {
    parts.centroids[i + 7] += 100;
    parts.centroids[i + 9] *= 100;
  }
  for (size_t i = 0; i < frames.size(); i += 256) {
    frames[i + 7] += 100;
    frames[i + 9] *= 100;
  }
  for (const uint32_t nprobe : {1U, 16U}) {
    EXPECT_GE(Agreement(parts, Metric::kL2, nprobe, frames), 0.999);
    EXPECT_GE(Agreement(parts, Metric::kInnerProduct, nprobe, frames), 0.999);
  }
}

TEST_P(CoarseQuantizerTest, ListsAreExactInFewerDimensionsToo) {
  IvfParts parts = RandomParts(300, 256);
  // Frames that leave the subspace of the centroids by more than these do, and
  // by less.
  for (const float noise : {0.0F, 0.3F, 4.0F}) {
    parts.centroids = Aligned(LowRank(300, 256, 40, 0.1F));
    const auto frames = LowRank(250, 256, 40, noise);
    for (const Metric metric : {Metric::kL2, Metric::kInnerProduct}) {
      EXPECT_EQ(CoarseQuantizer(parts, metric, level()).coordinates(), 64U);
      for (const uint32_t nprobe : {1U, 4U, 16U, 128U, 299U, 300U}) {
        EXPECT_GE(Agreement(parts, metric, nprobe, frames), 0.999)
            << MetricName(metric) << " " << noise << " " << nprobe;
      }
    }
  }
}

TEST_P(CoarseQuantizerTest, FewerDimensionsKnowEmptyAndEqualLists) {
  std::vector<uint32_t> empty(200);
  std::iota(empty.begin(), empty.end(), 3);
  IvfParts parts = RandomParts(300, 128, empty);
  parts.centroids = Aligned(LowRank(300, 128, 20, 0));
  const auto equal = parts.centroids.begin() + 250 * 128;
  for (size_t i = 251; i < 300; ++i) {
    std::copy_n(equal, 128, parts.centroids.begin() + i * 128);
  }
  ASSERT_EQ(CoarseQuantizer(parts, Metric::kL2, level()).coordinates(), 32U);
  const auto frames = LowRank(200, 128, 20, 0.1F);
  for (const uint32_t nprobe : {1U, 30U, 99U, 100U, 101U}) {
    EXPECT_EQ(Agreement(parts, Metric::kL2, nprobe, frames), 1) << nprobe;
  }
}

TEST_P(CoarseQuantizerTest, OfUnstructuredCentroidsNoDimensionIsLeftOut) {
  const IvfParts parts = RandomParts(300, 256);
  EXPECT_EQ(CoarseQuantizer(parts, Metric::kL2, level()).coordinates(), 256U);
}

TEST_P(CoarseQuantizerTest, FramesFarFromEverythingFindTheirLists) {
  const IvfParts parts = RandomParts(100, 64);
  auto frames = Floats(size_t{200} * 64, 1e3F);
  EXPECT_GE(Agreement(parts, Metric::kL2, 4, frames), 0.999);
}

TEST_P(CoarseQuantizerTest, AnyScaleFindsTheSameLists) {
  for (const float scale : {1e-9F, 1e-5F, 1e5F, 1e12F}) {
    IvfParts parts = RandomParts(100, 64);
    auto frames = Floats(size_t{200} * 64);
    for (float& x : parts.centroids) x *= scale;
    for (float& x : frames) x *= scale;
    EXPECT_GE(Agreement(parts, Metric::kL2, 4, frames), 0.995) << scale;
    EXPECT_GE(Agreement(parts, Metric::kInnerProduct, 4, frames), 0.995)
        << scale;

    parts = RandomParts(256, 128);
    parts.centroids = Aligned(LowRank(256, 128, 10, 0.1F));
    frames = LowRank(200, 128, 10, 0.3F);
    for (float& x : parts.centroids) x *= scale;
    for (float& x : frames) x *= scale;
    EXPECT_GE(Agreement(parts, Metric::kL2, 4, frames), 0.995) << scale;
  }
}

TEST_P(CoarseQuantizerTest, ANumberThatDwarfsTheOthersHidesNoList) {
  // The others round to zero: what is lost is their whole product with the
  // nearest centroid.
  for (const uint32_t dimension : {256U, 768U}) {
    IvfParts parts = RandomParts(300, dimension);
    std::vector<float> frames(parts.centroids.begin(), parts.centroids.end());
    frames.resize(size_t{200} * dimension);
    for (size_t i = 0; i < frames.size(); i += dimension) {
      frames[i + 5] += i % 2 == 0 ? 600.0F : 3e4F;
    }
    EXPECT_EQ(Agreement(parts, Metric::kL2, 1, frames), 1);
    parts.centroids = Aligned(LowRank(300, dimension, 40, 0.1F));
    frames.assign(parts.centroids.begin(), parts.centroids.end());
    frames.resize(size_t{200} * dimension);
    for (size_t i = 0; i < frames.size(); i += dimension) frames[i + 5] += 9e3F;
    EXPECT_EQ(Agreement(parts, Metric::kL2, 1, frames), 1);
  }
}

TEST_P(CoarseQuantizerTest, FramesAtTheLimitsOfFloatsFindSomeLists) {
  IvfParts parts = RandomParts(300, 128);
  for (const bool reduced : {false, true}) {
    if (reduced) parts.centroids = Aligned(LowRank(300, 128, 10, 0.1F));
    const CoarseQuantizer coarse(parts, Metric::kL2, level());
    CoarseScratch scratch;
    for (const float scale : {1e-30F, 1e-12F, 1e6F, 1e15F}) {
      const auto frame = Floats(128, scale);
      const float* const frames[] = {frame.data()};
      std::vector<uint32_t> lists;
      PrefetchQueue none;
      coarse.Probe(frames, 1, 7, none, scratch, &lists);
      ASSERT_EQ(lists.size(), 7U) << scale;
      std::sort(lists.begin(), lists.end());
      EXPECT_EQ(std::unique(lists.begin(), lists.end()), lists.end());
      EXPECT_LT(lists.back(), parts.nlist);
    }
  }
}

TEST_P(CoarseQuantizerTest, ListsComeNearestFirstTiesByNumber) {
  IvfParts parts = RandomParts(300, 128);
  for (const bool reduced : {false, true}) {
    if (reduced) parts.centroids = Aligned(LowRank(300, 128, 10, 0.1F));
    // Lists 7 and 3 are equal.
    std::copy_n(&parts.centroids[7 * 128], 128, &parts.centroids[3 * 128]);
    const CoarseQuantizer coarse(parts, Metric::kL2, level());
    CoarseScratch scratch;
    for (const size_t nprobe : {5U, 40U, 300U}) {
      const float* const frames[] = {&parts.centroids[7 * 128]};
      std::vector<uint32_t> lists;
      PrefetchQueue none;
      coarse.Probe(frames, 1, static_cast<uint32_t>(nprobe), none, scratch,
                   &lists);
      ASSERT_EQ(lists.size(), nprobe);
      EXPECT_EQ(lists[0], 3U);
      EXPECT_EQ(lists[1], 7U);
      double last = 0;
      for (const uint32_t list : lists) {
        double distance = 0;
        for (size_t j = 0; j < 128; ++j) {
          const double x =
              double{frames[0][j]} - parts.centroids[list * 128 + j];
          distance += x * x;
        }
        EXPECT_GE(distance, last * (1 - 1e-5));
        last = distance;
      }
    }
  }
}

TEST_P(CoarseQuantizerTest, EmptyListsAreNotVisited) {
  std::vector<uint32_t> empty(40);
  std::iota(empty.begin(), empty.end(), 3);
  const IvfParts parts = RandomParts(50, 16, empty);
  for (const uint32_t nprobe : {1U, 9U, 10U, 11U, 50U}) {
    EXPECT_EQ(Agreement(parts, Metric::kL2, nprobe, Floats(size_t{100} * 16)),
              1);
  }
}

TEST_P(CoarseQuantizerTest, EqualCentroidsAreVisitedInTheirOrder) {
  IvfParts parts = RandomParts(40, 8);
  for (size_t i = 8; i < parts.centroids.size(); ++i) {
    parts.centroids[i] = parts.centroids[i % 8];
  }
  EXPECT_EQ(Agreement(parts, Metric::kL2, 5, Floats(size_t{20} * 8)), 1);
}

TIMBRE_FOR_EVERY_LEVEL(CoarseQuantizerTest);

}  // namespace
}  // namespace timbre
