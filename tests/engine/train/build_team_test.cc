#include "server/engine/train/build_team.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <vector>

namespace timbre {
namespace {

class Observer : public BuildObserver {
 public:
  void OnProgress(BuildStage stage, double fraction) override {
    stages.push_back(stage);
    fractions.push_back(fraction);
  }
  bool cancelled() const override { return cancel.load(); }
  double CpusNow(int most) const override {
    return std::min<double>(most, allowed);
  }

  std::atomic<bool> cancel{false};
  double allowed = 100;
  std::vector<BuildStage> stages;
  std::vector<double> fractions;
};

TEST(BuildTeamTest, EveryItemIsDoneOnce) {
  Observer observer;
  for (const int threads : {1, 2, 5}) {
    BuildTeam team(threads, observer);
    for (const size_t items : {0, 1, 3, 1000}) {
      std::vector<std::atomic<int>> done(items);
      ASSERT_TRUE(team.ForEach(items,
                               [&](size_t item, size_t worker) {
                                 ++done[item];
                                 EXPECT_LT(worker, team.threads());
                               })
                      .ok());
      for (const auto& times : done) EXPECT_EQ(times, 1);
    }
  }
}

TEST(BuildTeamTest, RangesCoverEverythingOnce) {
  Observer observer;
  BuildTeam team(3, observer);
  for (const size_t count : {0, 1, 7, 8, 9, 100}) {
    std::vector<std::atomic<int>> done(count);
    ASSERT_TRUE(team.ForRanges(count, 8,
                               [&](size_t first, size_t rows, size_t) {
                                 EXPECT_LE(rows, 8U);
                                 for (size_t i = 0; i < rows; ++i) {
                                   ++done[first + i];
                                 }
                               })
                    .ok());
    for (const auto& times : done) EXPECT_EQ(times, 1);
  }
}

TEST(BuildTeamTest, TellsHowMuchOfTheStageIsDone) {
  Observer observer;
  BuildTeam team(1, observer);
  team.Enter(BuildStage::kAdding, 0.5, 1);
  ASSERT_TRUE(team.ForEach(4, [](size_t, size_t) {}).ok());
  EXPECT_EQ(observer.fractions,
            (std::vector<double>{0.5, 0.625, 0.75, 0.875, 1}));
  EXPECT_EQ(observer.stages.back(), BuildStage::kAdding);
}

TEST(BuildTeamTest, MakesWayForSearches) {
  Observer observer;
  observer.allowed = 1;
  BuildTeam team(3, observer);
  ASSERT_TRUE(
      team.ForEach(100, [&](size_t, size_t worker) { EXPECT_EQ(worker, 0U); })
          .ok());
  observer.allowed = 0.5;  // and yet goes on
  std::atomic<int> done{0};
  ASSERT_TRUE(team.ForEach(10, [&](size_t, size_t) { ++done; }).ok());
  EXPECT_EQ(done, 10);
}

TEST(BuildTeamTest, StopsWhereTheBuildIsCancelled) {
  Observer observer;
  BuildTeam team(2, observer);
  std::atomic<int> done{0};
  const absl::Status status = team.ForEach(1000, [&](size_t, size_t) {
    if (++done == 10) observer.cancel = true;
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_LT(done, 20);
}

TEST(BuildTeamTest, RestsForWhatItMayNotUseOfItsProcessor) {
  using Clock = std::chrono::steady_clock;
  Observer observer;
  observer.allowed = 0.25;
  BuildTeam team(1, observer);
  Clock::duration worked{};
  const auto start = Clock::now();
  ASSERT_TRUE(team.ForEach(10,
                           [&](size_t, size_t) {
                             const auto begin = Clock::now();
                             while (Clock::now() - begin <
                                    std::chrono::milliseconds(1)) {
                             }
                             worked += Clock::now() - begin;
                           })
                  .ok());
  // Of a longer item it rests less: it looks again every 20 ms.
  EXPECT_GE(Clock::now() - start,
            std::min<Clock::duration>(4 * worked,
                                      worked + std::chrono::milliseconds(30)));
}

}  // namespace
}  // namespace timbre
