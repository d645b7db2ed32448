#include "server/service/transport/poller_beats.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "server/base/monotonic_clock.h"

namespace timbre {
namespace {

// Of the time between two looks. On a busy machine it does not get all of it.
constexpr double kBusy = 0.25;

absl::Duration Read(clockid_t clock) {
  timespec time{};
  // Fails where the thread has ended.
  return ::clock_gettime(clock, &time) == 0 ? absl::DurationFromTimespec(time)
                                            : absl::ZeroDuration();
}

}  // namespace

PollerBeats::Beat& PollerBeats::Join() {
  const MutexLock lock(mutex_);
  Beat& beat = beats_.emplace_back();
  ::pthread_getcpuclockid(::pthread_self(), &beat.cpu_clock_);
  beat.cpu_then_ = beat.cpu_last_ = Read(beat.cpu_clock_);
  return beat;
}

absl::Duration PollerBeats::Stuck() {
  const MutexLock lock(mutex_);
  const absl::Time now = MonotonicNow();
  const absl::Duration passed = now - std::exchange(last_look_, now);
  absl::Duration longest = absl::ZeroDuration();
  for (Beat& beat : beats_) {
    const uint64_t events = beat.events_.load(std::memory_order_relaxed);
    const absl::Duration cpu = Read(beat.cpu_clock_);
    // One that sleeps in between waits for slow peers, pings, parts of a large
    // message: it comes to all events.
    const bool busy = cpu - beat.cpu_last_ > kBusy * passed;
    beat.cpu_last_ = cpu;
    if (events != beat.seen_ || !busy) {
      beat.seen_ = events;
      beat.cpu_then_ = cpu;
    }
    longest = std::max(longest, cpu - beat.cpu_then_);
  }
  return longest;
}

}  // namespace timbre
