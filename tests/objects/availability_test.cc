#include "server/objects/availability.h"

#include <gtest/gtest.h>

#include <vector>

namespace timbre {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1000);
const absl::Status kDead = absl::UnavailableError("refused");

class AvailabilityTest : public ::testing::Test {
 protected:
  void FailThrice() {
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(availability_.MayTry(kStart));
      availability_.Failed(kDead, kStart + absl::Milliseconds(i));
    }
  }

  std::vector<absl::Status> told_;
  Availability availability_{
      [this](const absl::Status& status) { told_.push_back(status); }};
};

TEST_F(AvailabilityTest, ThreeFailuresInARowMakeItAway) {
  availability_.Failed(kDead, kStart);
  availability_.Failed(kDead, kStart);
  availability_.Answered();
  availability_.Failed(kDead, kStart);
  availability_.Failed(kDead, kStart);
  EXPECT_FALSE(availability_.away_since().has_value());
  EXPECT_TRUE(told_.empty());
  availability_.Answered();
  FailThrice();
  EXPECT_EQ(availability_.away_since(), kStart);
  EXPECT_EQ(availability_.why(), kDead);
  EXPECT_EQ(told_, std::vector<absl::Status>{kDead});
}

TEST_F(AvailabilityTest, OneRequestASecondTriesItAgain) {
  FailThrice();
  const absl::Time later = kStart + absl::Seconds(1.1);
  EXPECT_FALSE(availability_.MayTry(kStart + absl::Seconds(0.9)));
  EXPECT_TRUE(availability_.MayTry(later));
  EXPECT_FALSE(availability_.MayTry(later));
  availability_.Failed(kDead, later + absl::Seconds(3));
  EXPECT_FALSE(availability_.MayTry(later + absl::Seconds(3.9)));
  EXPECT_TRUE(availability_.MayTry(later + absl::Seconds(4.1)));
  availability_.Answered();
  EXPECT_TRUE(availability_.MayTry(later));
  EXPECT_TRUE(availability_.MayTry(later));
  EXPECT_FALSE(availability_.away_since().has_value());
  EXPECT_EQ(told_, (std::vector<absl::Status>{kDead, absl::OkStatus()}));
}

TEST_F(AvailabilityTest, WhoGivesUpLeavesTheTryToTheNext) {
  FailThrice();
  const absl::Time later = kStart + absl::Seconds(2);
  EXPECT_TRUE(availability_.MayTry(later));
  availability_.GivenUp();
  EXPECT_TRUE(availability_.MayTry(later));
}

}  // namespace
}  // namespace timbre
