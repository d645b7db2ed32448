#include "server/service/transport/drain_gate.h"

#include <gtest/gtest.h>

namespace timbre {
namespace {

TEST(DrainGateTest, AStreamThatWaitsEndsAtOnce) {
  DrainGate gate;
  EXPECT_TRUE(gate.Drain());
}

TEST(DrainGateTest, AMessageInWorkIsAnsweredAndItsClientGivenTheTimeToEnd) {
  DrainGate gate;
  EXPECT_TRUE(gate.Enter());
  EXPECT_FALSE(gate.Drain());
  EXPECT_FALSE(gate.Drain());
  gate.Leave();
  EXPECT_FALSE(gate.Drain());
  EXPECT_TRUE(gate.Drain());
}

TEST(DrainGateTest, NothingIsBegunAsTheServerDrains) {
  DrainGate gate;
  EXPECT_TRUE(gate.Enter());
  gate.Leave();
  EXPECT_FALSE(gate.Drain());
  EXPECT_FALSE(gate.Enter());
  EXPECT_TRUE(gate.Drain());
}

}  // namespace
}  // namespace timbre
