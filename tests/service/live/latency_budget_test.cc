#include "server/service/live/latency_budget.h"

#include <gtest/gtest.h>

namespace timbre {
namespace {

constexpr IndexShape kCoded = {
    .kind = IndexKind::kIvfPq, .rows = 100'000, .nlist = 1024};
constexpr IndexShape kExact = {.kind = IndexKind::kFlat, .rows = 100'000};

ResolvedSearch Asked(uint32_t nprobe, float k_factor) {
  ResolvedSearch search;
  search.settings = {.k = 8,
                     .nprobe = nprobe,
                     .candidates = static_cast<uint32_t>(8 * k_factor)};
  search.nprobe = nprobe;
  search.has_budget = true;
  search.effective.nprobe = nprobe;
  search.effective.k_factor = k_factor;
  return search;
}

// A budget that `settings` of `frames` frames need, a bit more than exactly.
absl::Time Needs(const SearchSettings& settings, uint64_t frames) {
  return absl::UnixEpoch() + EstimateFrame(kCoded, settings) * frames +
         absl::Nanoseconds(1);
}

TEST(LatencyBudget, WithoutABudgetNothingGivesWay) {
  ResolvedSearch asked = Asked(64, 4);
  asked.has_budget = false;
  LatencyBudget budget(asked, kCoded, absl::InfinitePast(), true);
  const auto settings = budget.Next(1'000'000, {}, absl::UnixEpoch());
  ASSERT_TRUE(settings.has_value());
  EXPECT_EQ(settings->nprobe, 64U);
  EXPECT_EQ(budget.degradation(), v1::DEGRADATION_UNSPECIFIED);
}

TEST(LatencyBudget, WhatFitsIsAnsweredAsAsked) {
  const ResolvedSearch asked = Asked(16, 4);
  LatencyBudget budget(asked, kCoded, Needs(asked.settings, 16), true);
  EXPECT_EQ(budget.Next(16, {}, absl::UnixEpoch())->nprobe, 16U);
  EXPECT_EQ(budget.degradation(), v1::DEGRADATION_UNSPECIFIED);
}

TEST(LatencyBudget, NprobeIsLoweredNoFurtherThanNeeded) {
  const ResolvedSearch asked = Asked(64, 4);
  SearchSettings reachable = asked.settings;
  reachable.nprobe = 8;
  LatencyBudget budget(asked, kCoded, Needs(reachable, 16), true);
  const auto settings = budget.Next(16, {}, absl::UnixEpoch());
  ASSERT_TRUE(settings.has_value());
  EXPECT_EQ(settings->nprobe, 8U);
  EXPECT_EQ(settings->candidates, 32U);
  EXPECT_EQ(budget.degradation(), v1::DEGRADATION_REDUCED);
  EXPECT_EQ(budget.effective().nprobe, 8U);
  EXPECT_EQ(budget.effective().k_factor, 4);
}

TEST(LatencyBudget, ThenFewerCandidates) {
  const ResolvedSearch asked = Asked(64, 4);
  LatencyBudget budget(asked, kCoded,
                       Needs({.k = 8, .nprobe = 1, .candidates = 8}, 16), true);
  const auto settings = budget.Next(16, {}, absl::UnixEpoch());
  ASSERT_TRUE(settings.has_value());
  EXPECT_EQ(settings->nprobe, 1U);
  EXPECT_EQ(settings->candidates, 8U);
  EXPECT_EQ(budget.effective().k_factor, 1);
}

TEST(LatencyBudget, AtLastBlendPassesFramesThroughAndSearchDoesNot) {
  LatencyBudget blend(Asked(64, 4), kCoded, absl::UnixEpoch(), true);
  EXPECT_FALSE(blend.Next(1, {}, absl::UnixEpoch()).has_value());
  EXPECT_EQ(blend.degradation(), v1::DEGRADATION_PASSED_THROUGH);
  LatencyBudget search(Asked(64, 4), kCoded, absl::UnixEpoch(), false);
  EXPECT_EQ(search.Next(1, {}, absl::UnixEpoch())->nprobe, 1U);
  EXPECT_EQ(search.degradation(), v1::DEGRADATION_REDUCED);
}

TEST(LatencyBudget, NothingIsRaisedAgainWithinAMessage) {
  LatencyBudget budget(Asked(64, 4), kCoded,
                       Needs({.k = 8, .nprobe = 1, .candidates = 32}, 16),
                       false);
  EXPECT_EQ(budget.Next(16, {}, absl::UnixEpoch())->nprobe, 1U);
  EXPECT_EQ(budget.Next(1, {}, absl::UnixEpoch())->nprobe, 1U);
}

TEST(LatencyBudget, AnExactIndexHasNothingToLower) {
  LatencyBudget search(Asked(1, 1), kExact, absl::UnixEpoch(), false);
  EXPECT_TRUE(search.Next(1, {}, absl::UnixEpoch()).has_value());
  EXPECT_EQ(search.degradation(), v1::DEGRADATION_UNSPECIFIED);
}

TEST(FrameCost, ComesToWhatIsMeasured) {
  const SearchSettings settings = Asked(4, 4).settings;
  FrameCost cost;
  for (int i = 0; i < 50; ++i) {
    cost.Learn(kCoded, settings, 100, absl::Milliseconds(3));
  }
  EXPECT_NEAR(absl::ToDoubleMicroseconds(cost.Of(kCoded, settings)), 30, 0.1);
}

TEST(FrameCost, OneHiccupSaysLittle) {
  const SearchSettings settings = Asked(4, 4).settings;
  FrameCost cost;
  const absl::Duration before = cost.Of(kCoded, settings);
  cost.Learn(kCoded, settings, 1, absl::Seconds(1));
  EXPECT_LT(cost.Of(kCoded, settings), 2 * before);
}

TEST(FrameCost, IsTriedAgainAfterFramesWerePassedThrough) {
  const SearchSettings settings = Asked(4, 4).settings;
  FrameCost cost;
  // Something was amiss for a while.
  for (int i = 0; i < 20; ++i) {
    cost.Learn(kCoded, settings, 1, absl::Seconds(1));
  }
  const absl::Time deadline = absl::UnixEpoch() + absl::Milliseconds(5);
  int passed = 0;
  while (!LatencyBudget(Asked(4, 4), kCoded, deadline, true)
              .Next(16, cost, absl::UnixEpoch())) {
    cost.Relax();
    ++passed;
  }
  EXPECT_GT(passed, 0);
  EXPECT_LT(passed, 30);
}

TEST(EstimateFrame, GrowsWithWhatIsVisited) {
  const absl::Duration one = EstimateFrame(kCoded, Asked(1, 4).settings);
  const absl::Duration many = EstimateFrame(kCoded, Asked(64, 4).settings);
  EXPECT_LT(one, many);
  EXPECT_LT(many, EstimateFrame(kExact, Asked(1, 1).settings));
}

}  // namespace
}  // namespace timbre
