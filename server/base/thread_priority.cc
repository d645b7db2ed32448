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
void SetNiceness(int niceness) { setpriority(PRIO_PROCESS, 0, niceness); }
int Niceness() { return getpriority(PRIO_PROCESS, 0); }

void SetShortSlice() {
  SchedAttributes attributes{.policy = SCHED_OTHER, .runtime = kUrgentSliceNs};
  attributes.nice = Niceness();  // as it is
  syscall(SYS_sched_setattr, 0, &attributes, 0);
}

}  // namespace

void SetThreadPriority(ThreadPriority priority) {
  const sched_param none{};
  switch (priority) {
    case ThreadPriority::kForemost:
      SetNiceness(kForemostNiceness);
      SetShortSlice();
      return;
    case ThreadPriority::kUrgent:
      SetShortSlice();
      return;
    case ThreadPriority::kNormal:
      return;
    case ThreadPriority::kDeferred:
      SetNiceness(kDeferredNiceness);
      sched_setscheduler(0, SCHED_BATCH, &none);
      return;
    case ThreadPriority::kBackground:
      SetNiceness(kBackgroundNiceness);
      sched_setscheduler(0, SCHED_IDLE, &none);
      return;
  }
}

bool MayBeForemost() {
  bool may = false;
  std::thread([&may] {
    SetThreadPriority(ThreadPriority::kForemost);
    may = Niceness() == kForemostNiceness;
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
