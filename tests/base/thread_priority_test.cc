#include "server/base/thread_priority.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>

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
  EXPECT_GT(NicenessAt(ThreadPriority::kDeferred),
            NicenessAt(ThreadPriority::kUrgent));
  EXPECT_GT(NicenessAt(ThreadPriority::kBackground),
            NicenessAt(ThreadPriority::kDeferred));
}

TEST(ThreadPriorityTest, BackgroundRunsWhereNothingElseDoes) {
  int policy = -1;
  std::thread([&] {
    SetThreadPriority(ThreadPriority::kBackground);
    policy = sched_getscheduler(0);
  }).join();
  EXPECT_EQ(policy, SCHED_IDLE);
}

TEST(ThreadPriorityTest, AskingWhatIsAllowedChangesNothing) {
  const int before = Niceness();
  MayBeForemost();
  EXPECT_EQ(Niceness(), before);
}

}  // namespace
}  // namespace timbre
