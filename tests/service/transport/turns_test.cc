#include "server/service/transport/turns.h"

#include <gtest/gtest.h>

namespace timbre {
namespace {

TEST(TurnsTest, AStreamThatWaitsEndsAtOnce) {
  Turns turns;
  EXPECT_TRUE(turns.Drain());
}

TEST(TurnsTest, AMessageInWorkIsAnsweredAndItsClientGivenTheTimeToEnd) {
  Turns turns;
  EXPECT_TRUE(turns.Begin());
  EXPECT_FALSE(turns.Drain());
  EXPECT_FALSE(turns.Drain());
  turns.End();
  EXPECT_FALSE(turns.Drain());
  EXPECT_TRUE(turns.Drain());
}

TEST(TurnsTest, NothingIsBegunAsTheServerDrains) {
  Turns turns;
  EXPECT_TRUE(turns.Begin());
  turns.End();
  EXPECT_FALSE(turns.Drain());
  EXPECT_FALSE(turns.Begin());
  EXPECT_TRUE(turns.Drain());
}

}  // namespace
}  // namespace timbre
