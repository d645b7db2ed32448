#include "server/base/thread_priority.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <thread>

namespace timbre {
namespace {

constexpr uint64_t kUrgentSliceNs = 100'000;
constexpr auto kTurn = std::chrono::microseconds(50);
// Added to what the process was started with.
constexpr int kForemostNiceness = -10;
constexpr int kDeferredNiceness = 5;
constexpr int kBackgroundNiceness = 10;  // where SCHED_IDLE is not allowed

// glibc 2.36 has neither the struct nor the call.
struct SchedAttributes {
  uint32_t size = sizeof(SchedAttributes);
  uint32_t policy = 0;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime = 0;  // of SCHED_OTHER: the slice
  uint64_t deadline = 0;
  uint64_t period = 0;
};

// On Linux niceness belongs to the thread (0: the calling one), and children
// inherit it.
int Niceness() { return getpriority(PRIO_PROCESS, 0); }

// The process's own: that of its first thread.
void AddNiceness(int more) {
  const int own = getpriority(PRIO_PROCESS, static_cast<id_t>(getpid()));
  setpriority(PRIO_PROCESS, 0, own + more);  // cut to -20..19
}

// Never a more pressing policy than the one that the process was given.
void SetPolicy(int policy) {
  const int own = sched_getscheduler(getpid());
  const bool allowed =
      own == SCHED_OTHER || (own == SCHED_BATCH && policy == SCHED_IDLE);
  if (!allowed) return;
  const sched_param none{};
  sched_setscheduler(0, policy, &none);
}

void SetShortSlice() {
  if (sched_getscheduler(0) != SCHED_OTHER) return;  // chrt(1): as it is
  SchedAttributes attributes{.policy = SCHED_OTHER, .runtime = kUrgentSliceNs};
  attributes.nice = Niceness();  // as it is
  syscall(SYS_sched_setattr, 0, &attributes, 0);
}

}  // namespace

void SetThreadPriority(ThreadPriority priority) {
  switch (priority) {
    case ThreadPriority::kForemost:
      AddNiceness(kForemostNiceness);
      SetShortSlice();
      return;
    case ThreadPriority::kUrgent:
      SetShortSlice();
      return;
    case ThreadPriority::kNormal:
      return;
    case ThreadPriority::kDeferred:
      AddNiceness(kDeferredNiceness);
      SetPolicy(SCHED_BATCH);
      return;
    case ThreadPriority::kBackground:
      AddNiceness(kBackgroundNiceness);
      SetPolicy(SCHED_IDLE);
      return;
  }
}

bool MayBeForemost() {
  bool may = false;
  std::thread([&may] {
    const int before = Niceness();
    SetThreadPriority(ThreadPriority::kForemost);
    may = Niceness() < before;
  }).join();
  return may;
}

void GiveWay() {
  using Clock = std::chrono::steady_clock;
  thread_local Clock::time_point since = Clock::now();
  if (Clock::now() - since < kTurn) return;
  sched_yield();
  since = Clock::now();
}

}  // namespace timbre
