// Whether what is promised is what other voices get.
#include "server/engine/tune/tuner.h"

#include <cmath>
#include <memory>
#include <utility>

#include "server/engine/tune/exact_neighbors.h"
#include "server/engine/tune/tuning_queries.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

using testing::BuildFrames;
using testing::FrameMatrix;
using testing::NullObserver;
using testing::OpenBuilt;
using testing::Speech;
using testing::TempDir;

// One voice of ten minutes, built once.
class TunerTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kDimension = 256;

  struct Voice {
    TempDir dir;
    BuildResult built;
    std::unique_ptr<SpeakerIndex> index;
  };

  static std::unique_ptr<Voice> Make(Metric metric, float target) {
    auto voice = std::make_unique<Voice>();
    const auto built =
        BuildFrames(voice->dir.path(), Speech(30'000, kDimension, 1),
                    {.metric = metric, .target_recall = target, .threads = 2});
    EXPECT_TRUE(built.ok());
    voice->built = *built;
    voice->index = *OpenBuilt(voice->dir.path(), *built, kDimension, metric,
                              BestKernels());
    return voice;
  }

  static Measured Measure(const SpeakerIndex& index, const FrameMatrix& queries,
                          float target) {
    NullObserver observer;
    BuildTeam team(2, observer);
    const auto measured = MeasureCurve(index, {queries.data, {}},
                                       {.target_recall = target}, team);
    EXPECT_TRUE(measured.ok());
    return *measured;
  }

  // What `settings` really find for `queries`.
  static double RecallOf(const SpeakerIndex& index, const FrameMatrix& queries,
                         const SearchSettings& settings) {
    NullObserver observer;
    BuildTeam team(2, observer);
    const auto exact = ExactNeighbors(index, queries.data, settings.k, team);
    SearchScratch scratch;
    std::vector<int64_t> ids(queries.rows * settings.k);
    std::vector<float> distances(ids.size());
    EXPECT_TRUE(index
                    .Search(queries.data.data(), queries.rows, settings,
                            scratch, ids.data(), distances.data())
                    .ok());
    double found = 0;
    for (size_t i = 0; i < ids.size(); ++i) {
      const float last =
          exact->distances[i / settings.k * settings.k + settings.k - 1];
      found += index.metric() == Metric::kL2 ? distances[i] <= last
                                             : distances[i] >= last;
    }
    return found / static_cast<double>(ids.size());
  }
};

TEST_F(TunerTest, OtherVoicesReachWhatBuildsPromise) {
  for (const auto& [target, slack] :
       {std::pair{0.95F, 0.03}, std::pair{0.99F, 0.02}}) {
    const auto voice = Make(Metric::kL2, target);
    const Tuning& tuning = voice->built.tuning;
    EXPECT_TRUE(voice->built.warnings.empty());
    for (const uint64_t speaker : {2, 3, 4}) {
      const auto queries = Speech(2000, kDimension, speaker);
      EXPECT_GE(RecallOf(*voice->index, queries,
                         SettingsOf({.nprobe = tuning.nprobe,
                                     .k_factor = tuning.k_factor},
                                    8)),
                target - slack)
          << "voice " << speaker;
    }
  }
}

TEST_F(TunerTest, ShortVoicesKeepTheirPromiseToo) {
  for (const uint64_t rows : {2100, 3000, 6000}) {
    TempDir dir;
    const auto built = BuildFrames(dir.path(), Speech(rows, kDimension, 11));
    ASSERT_OK(built);
    const auto index =
        OpenBuilt(dir.path(), *built, kDimension, Metric::kL2, BestKernels());
    ASSERT_OK(index);
    const Tuning& tuning = built->tuning;
    for (const uint64_t speaker : {2, 3}) {
      EXPECT_GE(RecallOf(**index, Speech(1500, kDimension, speaker),
                         SettingsOf({.nprobe = tuning.nprobe,
                                     .k_factor = tuning.k_factor},
                                    8)),
                0.92)
          << rows << " frames, voice " << speaker;
    }
  }
}

TEST_F(TunerTest, WhatIsTunedOnASpeakerHoldsForTheirOtherFrames) {
  for (const Metric metric :
       {Metric::kL2, Metric::kInnerProduct, Metric::kCosine}) {
    const auto voice = Make(metric, 0.95F);
    const auto all = Speech(6000, kDimension, 2);
    FrameMatrix some{.data = {}, .rows = 3000, .columns = kDimension};
    some.data.assign(all.data.begin(), all.data.begin() + 3000 * kDimension);
    FrameMatrix others = some;
    others.data.assign(all.data.begin() + 3000 * kDimension, all.data.end());
    for (const float target : {0.95F, 0.99F}) {
      const Measured measured = Measure(*voice->index, some, target);
      const SearchSettings settings =
          SettingsOf(ChoosePoint(measured.curve, target), 8);
      EXPECT_GE(RecallOf(*voice->index, some, settings), target - 1e-4);
      EXPECT_GE(RecallOf(*voice->index, others, settings), target - 0.01)
          << MetricName(metric);
    }
  }
}

TEST_F(TunerTest, CurvesRiseAndMeetExactSearch) {
  const auto voice = Make(Metric::kL2, 0.95F);
  const Measured measured =
      Measure(*voice->index, Speech(500, kDimension, 2), 0.95F);
  ASSERT_GE(measured.curve.size(), 4U);
  for (size_t i = 1; i < measured.curve.size(); ++i) {
    const OperatingPoint& a = measured.curve[i - 1];
    const OperatingPoint& b = measured.curve[i];
    EXPECT_GT(b.recall, a.recall);
    EXPECT_GE(b.microseconds_per_frame, a.microseconds_per_frame);
    EXPECT_GE(b.nprobe, a.nprobe);
    EXPECT_GE(b.k_factor, a.k_factor);
  }
  EXPECT_GE(measured.curve.back().recall, 0.995F);
  EXPECT_LE(measured.curve.back().blend_error, 0.02F);
  EXPECT_EQ(measured.exact.recall, 1);
  ASSERT_TRUE(measured.one_list.has_value());
  EXPECT_LT(measured.one_list->recall, 0.95F);
}

TEST_F(TunerTest, ThreadsChangeCostsAlone) {
  const auto voice = Make(Metric::kL2, 0.95F);
  const OwnQueries queries = MakeOwnQueries(voice->index->store(), 7, 300);
  const auto run = [&](int threads) {
    NullObserver observer;
    BuildTeam team(threads, observer);
    Curve curve =
        MeasureCurve(*voice->index, {queries.frames, queries.own}, {}, team)
            ->curve;
    for (OperatingPoint& point : curve) point.microseconds_per_frame = 0;
    return curve;
  };
  EXPECT_EQ(run(1), run(3));
}

// Cosines that differ in the fifth digit: a tolerance would call every frame a
// neighbour.
TEST_F(TunerTest, NearlyEqualDistancesAreToldApart) {
  TempDir dir;
  FrameMatrix frames = Speech(5000, 32, 1);
  FrameMatrix queries = Speech(200, 32, 2);
  for (float& x : frames.data) x += 100;
  for (float& x : queries.data) x += 100;
  const auto built = BuildFrames(
      dir.path(), frames, {.metric = Metric::kCosine, .factory = "IVF70,Flat"});
  ASSERT_OK(built);
  const auto index =
      OpenBuilt(dir.path(), *built, 32, Metric::kCosine, BestKernels());
  ASSERT_OK(index);
  EXPECT_LT(Measure(**index, queries, 0.95F).curve.front().recall, 0.9F);
}

TEST_F(TunerTest, AFrameIsNotItsOwnNeighbour) {
  TempDir dir;
  FrameMatrix frames{.data = {}, .rows = 9, .columns = 2};
  for (int i = 0; i < 9; ++i) {
    frames.data.push_back(static_cast<float>(i));
    frames.data.push_back(0);
  }
  const auto built = BuildFrames(dir.path(), frames, {.factory = "IVF9,Flat"});
  ASSERT_OK(built);
  const auto index =
      OpenBuilt(dir.path(), *built, 2, Metric::kL2, BestKernels());
  ASSERT_OK(index);
  NullObserver observer;
  BuildTeam team(1, observer);
  const std::vector<int64_t> own = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  const auto measured =
      MeasureCurve(**index, {frames.data, own}, {.k = 1}, team);
  ASSERT_OK(measured);
  // Its list holds nothing but the frame itself.
  EXPECT_EQ(measured->curve.front().nprobe, 1U);
  EXPECT_EQ(measured->curve.front().recall, 0);
  EXPECT_EQ(measured->curve.back().recall, 1);
}

}  // namespace
}  // namespace timbre
