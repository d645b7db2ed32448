#include "server/base/log_limiter.h"

#include <gtest/gtest.h>

namespace timbre {
namespace {

const absl::Time kStart = absl::UnixEpoch();

TEST(LogLimiterTest, ABurstIsAdmittedAndWhatFollowsIsCounted) {
  LogLimiter limiter(3, 10);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(limiter.Admit("a", kStart), 0U);
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(limiter.Admit("a", kStart), std::nullopt);
  EXPECT_EQ(limiter.refused(), 5U);
}

TEST(LogLimiterTest, TheNextLineThatIsAdmittedKnowsHowManyWereNot) {
  LogLimiter limiter(1, 10);
  EXPECT_EQ(limiter.Admit("a", kStart), 0U);
  EXPECT_EQ(limiter.Admit("a", kStart), std::nullopt);
  EXPECT_EQ(limiter.Admit("a", kStart), std::nullopt);
  EXPECT_EQ(limiter.Admit("a", kStart + absl::Milliseconds(100)), 2U);
  EXPECT_EQ(limiter.Admit("a", kStart + absl::Milliseconds(200)), 0U);
}

TEST(LogLimiterTest, InTheLongRunTheRateIsAdmitted) {
  LogLimiter limiter(2, 10);
  int admitted = 0;
  for (int ms = 0; ms < 10'000; ++ms) {
    if (limiter.Admit("a", kStart + absl::Milliseconds(ms))) ++admitted;
  }
  EXPECT_NEAR(admitted, 2 + 100, 1);
}

TEST(LogLimiterTest, AnEventDoesNotCostAnotherItsLines) {
  LogLimiter limiter(1, 1);
  EXPECT_EQ(limiter.Admit("a", kStart), 0U);
  EXPECT_EQ(limiter.Admit("a", kStart), std::nullopt);
  EXPECT_EQ(limiter.Admit("b", kStart), 0U);
}

}  // namespace
}  // namespace timbre
