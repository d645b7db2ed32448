#include "server/base/thread_priority.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

namespace timbre {
namespace {

// Of the calling thread.
int Niceness() { return getpriority(PRIO_PROCESS, 0); }

int NicenessAt(ThreadPriority priority) {
  int niceness = 0;
  std::thread([&] {
    SetThreadPriority(priority);
    niceness = Niceness();
  }).join();
  return niceness;
}

TEST(ThreadPriorityTest, ForemostComesBeforeUrgentWhereThatIsAllowed) {
  EXPECT_EQ(NicenessAt(ThreadPriority::kForemost) <
                NicenessAt(ThreadPriority::kUrgent),
            MayBeForemost());
}

TEST(ThreadPriorityTest, DeferredAndBackgroundComeAfterUrgent) {
  if (Niceness() > 19 - 10) GTEST_SKIP() << "no room below this niceness";
  EXPECT_GT(NicenessAt(ThreadPriority::kDeferred),
            NicenessAt(ThreadPriority::kUrgent));
  EXPECT_GT(NicenessAt(ThreadPriority::kBackground),
            NicenessAt(ThreadPriority::kDeferred));
}

[[noreturn]] void CheckUnderNice() {
  setpriority(PRIO_PROCESS, 0, Niceness() + 5);
  const int own = Niceness();
  const bool right =
      NicenessAt(ThreadPriority::kUrgent) == own &&
      NicenessAt(ThreadPriority::kDeferred) == std::min(own + 5, 19) &&
      NicenessAt(ThreadPriority::kBackground) == std::min(own + 10, 19);
  std::_Exit(right ? 0 : 1);
}

TEST(ThreadPriorityTest, PrioritiesAreRelativeToThatOfTheProcess) {
  EXPECT_EXIT(CheckUnderNice(), ::testing::ExitedWithCode(0), "");
}

int PolicyAt(ThreadPriority priority) {
  int policy = -1;
  std::thread([&] {
    SetThreadPriority(priority);
    policy = sched_getscheduler(0);
  }).join();
  return policy;
}

[[noreturn]] void CheckUnderSchedIdle() {
  const sched_param none{};
  sched_setscheduler(0, SCHED_IDLE, &none);
  const bool right = PolicyAt(ThreadPriority::kUrgent) == SCHED_IDLE &&
                     PolicyAt(ThreadPriority::kDeferred) == SCHED_IDLE &&
                     PolicyAt(ThreadPriority::kBackground) == SCHED_IDLE;
  std::_Exit(right ? 0 : 1);
}

TEST(ThreadPriorityTest, NoThreadRisesAboveThePolicyOfItsProcess) {
  EXPECT_EXIT(CheckUnderSchedIdle(), ::testing::ExitedWithCode(0), "");
}

TEST(ThreadPriorityTest, BackgroundRunsWhereNothingElseDoes) {
  EXPECT_EQ(PolicyAt(ThreadPriority::kBackground), SCHED_IDLE);
}

TEST(ThreadPriorityTest, AskingWhatIsAllowedChangesNothing) {
  const int before = Niceness();
  MayBeForemost();
  EXPECT_EQ(Niceness(), before);
}

}  // namespace
}  // namespace timbre
