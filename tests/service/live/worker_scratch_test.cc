#include "server/service/live/worker_scratch.h"

#include <gtest/gtest.h>

#include <thread>

namespace timbre {
namespace {

TEST(WorkerScratchTest, EveryThreadHasItsOwn) {
  const WorkerScratch* const own = &ThisWorkersScratch();
  EXPECT_EQ(own, &ThisWorkersScratch());
  const WorkerScratch* other = nullptr;
  std::thread([&other] { other = &ThisWorkersScratch(); }).join();
  EXPECT_NE(own, other);
}

TEST(WorkerScratchTest, AnInterruptionLeavesThatOfTheMessageAlone) {
  ThisWorkersScratch().out = {1, 2};
  EXPECT_FALSE(Interruption::UnderWay());
  {
    const Interruption interruption;
    EXPECT_TRUE(Interruption::UnderWay());
    ThisWorkersScratch().out = {3};
  }
  EXPECT_FALSE(Interruption::UnderWay());
  EXPECT_EQ(ThisWorkersScratch().out, (std::vector<float>{1, 2}));
}

TEST(WorkerScratchTest, AllOfItIsFreed) {
  ThisWorkersScratch().out = {1, 2};
  FreeThisWorkersScratch();
  EXPECT_EQ(ThisWorkersScratch().out.capacity(), 0U);
}

}  // namespace
}  // namespace timbre
