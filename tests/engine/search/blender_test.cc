// Blend against the formula in double precision.
#include "server/engine/search/blender.h"

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>

#include "tests/support/testing.h"

namespace timbre {
namespace {

using testing::BuildFrames;
using testing::FrameMatrix;
using testing::OpenBuilt;
using testing::Speech;
using testing::TempDir;

class BlenderTest : public ::testing::Test {
 protected:
  void Open(Metric metric, FrameMatrix frames) {
    frames_ = std::move(frames);
    const auto built = BuildFrames(dir_.path(), frames_,
                                   {.metric = metric, .factory = "Flat"});
    ASSERT_OK(built);
    auto index =
        OpenBuilt(dir_.path(), *built, frames_.columns, metric, BestKernels());
    ASSERT_OK(index);
    index_ = *std::move(index);
  }

  std::vector<float> Run(const FrameMatrix& queries, uint32_t k,
                         const std::vector<float>& rates,
                         const BlendSettings& settings = {}) {
    ids_.resize(queries.rows * k);
    distances_.resize(queries.rows * k);
    SearchScratch search;
    EXPECT_TRUE(index_
                    ->Search(queries.data.data(), queries.rows, {.k = k},
                             search, ids_.data(), distances_.data())
                    .ok());
    std::vector<float> out(queries.data.size());
    BlendScratch scratch;
    Blend(*index_, queries.data.data(), queries.rows,
          {k, ids_.data(), distances_.data()}, rates.data(), settings, scratch,
          out.data(), totals_);
    return out;
  }

  TempDir dir_;
  FrameMatrix frames_;
  std::unique_ptr<SpeakerIndex> index_;
  std::vector<int64_t> ids_;
  std::vector<float> distances_;
  BlendTotals totals_;
};

TEST_F(BlenderTest, IsRvcsFormula) {
  Open(Metric::kL2, Speech(500, 24, 1));
  const FrameMatrix queries = Speech(50, 24, 2);
  const std::vector<float> rates(50, 0.75F);
  const auto out = Run(queries, 8, rates);
  for (uint64_t q = 0; q < 50; ++q) {
    std::vector<double> weights(8);
    double sum = 0;
    for (size_t i = 0; i < 8; ++i) {
      weights[i] = std::pow(1.0 / distances_[q * 8 + i], 2);
      sum += weights[i];
    }
    for (uint32_t j = 0; j < 24; ++j) {
      double mix = 0;
      for (size_t i = 0; i < 8; ++i) {
        mix += weights[i] / sum *
               frames_.row(static_cast<uint64_t>(ids_[q * 8 + i]))[j];
      }
      const double expected = 0.75 * mix + 0.25 * queries.row(q)[j];
      ASSERT_NEAR(out[q * 24 + j], expected,
                  1e-5 * std::max(1.0, std::fabs(expected)));
    }
  }
  EXPECT_EQ(totals_.frames_with_neighbor, 50U);
  EXPECT_GT(totals_.shift, 0);
}

TEST_F(BlenderTest, ExactMatchesShareTheWholeWeight) {
  FrameMatrix frames = Speech(20, 8, 1);
  std::copy_n(frames.row(3), 8, frames.row(7));  // a duplicate
  Open(Metric::kL2, frames);
  FrameMatrix query{{frames.row(3), frames.row(4)}, 1, 8};
  const auto out = Run(query, 8, {1.0F});
  for (uint32_t j = 0; j < 8; ++j) EXPECT_EQ(out[j], frames.row(3)[j]);
}

TEST_F(BlenderTest, MissingNeighboursWeighNothing) {
  Open(Metric::kL2, Speech(2, 8, 1));
  const FrameMatrix query = Speech(1, 8, 2);
  const auto out = Run(query, 1024, {1.0F});
  for (const float x : out) EXPECT_TRUE(std::isfinite(x));
  const double a = std::pow(1.0 / distances_[0], 2);
  const double b = std::pow(1.0 / distances_[1], 2);
  for (uint32_t j = 0; j < 8; ++j) {
    const double expected =
        (a * frames_.row(static_cast<uint64_t>(ids_[0]))[j] +
         b * frames_.row(static_cast<uint64_t>(ids_[1]))[j]) /
        (a + b);
    EXPECT_NEAR(out[j], expected, 1e-5);
  }
}

TEST_F(BlenderTest, WithoutNeighboursTheFrameComesBack) {
  Open(Metric::kL2, Speech(20, 8, 1));
  const FrameMatrix query = Speech(1, 8, 2);
  const std::vector<int64_t> ids(4, -1);
  const std::vector<float> distances(4, FLT_MAX);
  const float rate = 1;
  BlendScratch scratch;
  std::vector<float> out(8);
  Blend(*index_, query.data.data(), 1, {4, ids.data(), distances.data()}, &rate,
        {}, scratch, out.data(), totals_);
  EXPECT_EQ(out, query.data);
}

TEST_F(BlenderTest, RatesArePerFrameAndZeroKeepsTheFrame) {
  Open(Metric::kL2, Speech(200, 8, 1));
  const FrameMatrix queries = Speech(3, 8, 2);
  const auto out = Run(queries, 8, {0.0F, 1.0F, 0.5F});
  const auto full = Run(queries, 8, {1.0F, 1.0F, 1.0F});
  for (uint32_t j = 0; j < 8; ++j) {
    EXPECT_EQ(out[j], queries.row(0)[j]);
    EXPECT_EQ(out[8 + j], full[8 + j]);
    EXPECT_NEAR(out[16 + j], 0.5 * full[16 + j] + 0.5 * queries.row(2)[j],
                1e-5);
  }
}

TEST_F(BlenderTest, ExtremeMagnitudesStayFinite) {
  FrameMatrix frames = Speech(50, 8, 1);
  for (size_t i = 0; i < frames.data.size(); ++i) {
    frames.data[i] = i % 3 == 0 ? 1e15F : i % 3 == 1 ? -1e15F : 1e-30F;
  }
  for (const Metric metric :
       {Metric::kL2, Metric::kInnerProduct, Metric::kCosine}) {
    const TempDir dir;
    const auto built =
        BuildFrames(dir.path(), frames, {.metric = metric, .factory = "Flat"});
    ASSERT_OK(built);
    auto index = OpenBuilt(dir.path(), *built, 8, metric, BestKernels());
    ASSERT_OK(index);
    index_ = *std::move(index);
    for (const auto weighting :
         {Weighting::kInverseSquareDistance, Weighting::kUniform,
          Weighting::kCosinePower}) {
      const FrameMatrix queries = Speech(5, 8, 2);
      for (const float x :
           Run(queries, 8, std::vector<float>(5, 1), {weighting, 64})) {
        ASSERT_TRUE(std::isfinite(x));
      }
    }
  }
}

TEST_F(BlenderTest, CosineIndexWeighsByNormalisedDistances) {
  Open(Metric::kCosine, Speech(300, 16, 1));
  const FrameMatrix query = Speech(1, 16, 2);
  const auto out = Run(query, 4, {1.0F});
  std::vector<double> expected(16, 0);
  double sum = 0;
  for (size_t i = 0; i < 4; ++i) {
    const double d = 2 - 2 * double{distances_[i]};
    const double w = 1 / (d * d);
    sum += w;
    for (uint32_t j = 0; j < 16; ++j) {
      expected[j] += w * frames_.row(static_cast<uint64_t>(ids_[i]))[j];
    }
  }
  for (uint32_t j = 0; j < 16; ++j) {
    EXPECT_NEAR(out[j], expected[j] / sum, 1e-3);
  }
}

TEST_F(BlenderTest, CosinePowerIsAlphaQueryExpansion) {
  Open(Metric::kInnerProduct, Speech(300, 16, 1));
  const FrameMatrix query = Speech(1, 16, 2);
  const auto out =
      Run(query, 4, {1.0F}, {Weighting::kCosinePower, /*alpha=*/3});
  std::vector<double> expected(16, 0);
  double sum = 0;
  for (size_t i = 0; i < 4; ++i) {
    const float* const row = frames_.row(static_cast<uint64_t>(ids_[i]));
    double dot = 0;
    double a = 0;
    double b = 0;
    for (uint32_t j = 0; j < 16; ++j) {
      dot += double{row[j]} * query.data[j];
      a += double{row[j]} * row[j];
      b += double{query.data[j]} * query.data[j];
    }
    const double w = std::pow(std::max(0.0, dot / std::sqrt(a * b)), 3);
    sum += w;
    for (uint32_t j = 0; j < 16; ++j) expected[j] += w * row[j];
  }
  for (uint32_t j = 0; j < 16; ++j) {
    EXPECT_NEAR(out[j], expected[j] / sum, 1e-5);
  }
}

}  // namespace
}  // namespace timbre
