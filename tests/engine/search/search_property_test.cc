// Random indices against exact search of the lists that exact assignment
// probes: with every row of those a candidate, codes must not matter.
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <random>
#include <set>

#include "tests/support/testing.h"

namespace timbre {
namespace {

using testing::BuildFrames;
using testing::FrameMatrix;
using testing::OpenBuilt;
using testing::Speech;
using testing::TempDir;

struct Shape {
  uint64_t rows;
  uint32_t dimension;
  std::string factory;
  Metric metric;
  bool duplicates;
};

double Distance(const float* a, const float* b, uint32_t n, Metric metric) {
  double dot = 0;
  double l2 = 0;
  double norms = 1;
  double aa = 0;
  double bb = 0;
  for (uint32_t j = 0; j < n; ++j) {
    dot += double{a[j]} * b[j];
    l2 += (double{a[j]} - b[j]) * (double{a[j]} - b[j]);
    aa += double{a[j]} * a[j];
    bb += double{b[j]} * b[j];
  }
  if (metric == Metric::kCosine) {
    norms = std::max(1e-12, std::sqrt(aa)) * std::max(1e-12, std::sqrt(bb));
  }
  return metric == Metric::kL2 ? l2 : -dot / norms;
}

// The lists whose centroids are nearest, empty ones left out.
std::set<uint32_t> NearestLists(const IvfParts& parts, const float* query,
                                size_t nprobe, Metric metric) {
  std::vector<std::pair<double, uint32_t>> lists;
  for (uint32_t list = 0; list < parts.nlist; ++list) {
    if (parts.List(list).empty()) continue;
    // A positive factor on the query changes no order.
    const Metric by = metric == Metric::kL2 ? metric : Metric::kInnerProduct;
    lists.emplace_back(
        Distance(query, &parts.centroids[size_t{list} * parts.dimension],
                 parts.dimension, by),
        list);
  }
  std::sort(lists.begin(), lists.end());
  std::set<uint32_t> nearest;
  for (size_t i = 0; i < std::min(nprobe, lists.size()); ++i) {
    nearest.insert(lists[i].second);
  }
  return nearest;
}

class SearchPropertyTest : public ::testing::Test {
 protected:
  Shape Random() {
    const auto pick = [this](auto... values) {
      const std::vector<uint32_t> all = {static_cast<uint32_t>(values)...};
      return all[random_() % all.size()];
    };
    Shape shape;
    shape.rows = pick(1, 2, 17, 39, 200, 900);
    const uint32_t m = pick(1, 5, 8, 16, 33);
    shape.dimension = std::max(2U, m * pick(1, 2, 3));
    const std::string nlist = std::to_string(pick(1, 2, 7, 31, 64));
    shape.factory = random_() % 4 == 0 ? "IVF" + nlist + ",Flat"
                                       : "IVF" + nlist + ",PQ" +
                                             std::to_string(m) + "x4fs,RFlat";
    if (shape.dimension % m != 0) shape.factory = "Flat";
    shape.metric = std::array{Metric::kL2, Metric::kInnerProduct,
                              Metric::kCosine}[random_() % 3];
    shape.duplicates = random_() % 3 == 0;
    return shape;
  }

  void Check(const Shape& shape) {
    const TempDir dir;
    FrameMatrix frames = Speech(shape.rows, shape.dimension, 1 + random_() % 9);
    for (uint64_t i = 1; shape.duplicates && i < frames.rows; ++i) {
      if (random_() % 2 == 0) {
        std::copy_n(frames.row(random_() % i), shape.dimension, frames.row(i));
      }
    }
    const FrameMatrix queries = Speech(7, shape.dimension, 77);
    const auto built = BuildFrames(
        dir.path(), frames, {.metric = shape.metric, .factory = shape.factory});
    ASSERT_OK(built);
    const auto k =
        static_cast<uint32_t>(std::array{1, 2, 8, 33, 64, 1024}[random_() % 6]);
    const uint32_t nprobe = 1 + random_() % std::max(1U, built->spec.nlist);
    for (const KernelTable* const kernels : SupportedKernels()) {
      const auto index = OpenBuilt(dir.path(), *built, shape.dimension,
                                   shape.metric, *kernels);
      ASSERT_OK(index);
      CheckAnswers(**index, frames, queries, k, nprobe);
    }
  }

  static void CheckAnswers(const SpeakerIndex& index, const FrameMatrix& frames,
                           const FrameMatrix& queries, uint32_t k,
                           uint32_t nprobe) {
    const SearchSettings settings{
        .k = k,
        .nprobe = nprobe,
        .candidates = std::max(k, static_cast<uint32_t>(frames.rows))};
    SearchScratch scratch;
    std::vector<int64_t> ids(queries.rows * k);
    std::vector<float> distances(queries.rows * k);
    ASSERT_OK(index.Search(queries.data.data(), queries.rows, settings, scratch,
                           ids.data(), distances.data()));
    for (uint64_t q = 0; q < queries.rows; ++q) {
      std::vector<double> exact;
      const auto add = [&](uint32_t id) {
        exact.push_back(Distance(queries.row(q), frames.row(id), frames.columns,
                                 index.metric()));
      };
      if (index.parts() == nullptr) {
        for (uint32_t id = 0; id < frames.rows; ++id) add(id);
      } else {
        for (const uint32_t list : NearestLists(*index.parts(), queries.row(q),
                                                nprobe, index.metric())) {
          for (const uint32_t id : index.parts()->List(list)) add(id);
        }
      }
      std::sort(exact.begin(), exact.end());
      const bool l2 = index.metric() == Metric::kL2;
      for (size_t i = 0; i < k; ++i) {
        const float found = distances[q * k + i];
        if (i >= exact.size()) {
          ASSERT_EQ(ids[q * k + i], -1);
          ASSERT_EQ(found, l2 ? FLT_MAX : -FLT_MAX);
          continue;
        }
        ASSERT_NEAR(l2 ? found : -found, exact[i],
                    1e-5 * std::max(1.0, std::fabs(exact[i])))
            << index.kernels().name << " k " << k << " nprobe " << nprobe;
      }
    }
  }

  std::mt19937 random_{11};
};

TEST_F(SearchPropertyTest, EveryRowOfTheNearestListsIsRanked) {
  for (int round = 0; round < 60; ++round) {
    const Shape shape = Random();
    SCOPED_TRACE(shape.factory + " of " + std::to_string(shape.rows) + " x " +
                 std::to_string(shape.dimension) + " " +
                 std::string(MetricName(shape.metric)));
    Check(shape);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace timbre
