#include "server/service/transport/poller_beats.h"

#include <pthread.h>

#include <algorithm>

namespace timbre {
namespace {

absl::Duration Read(clockid_t clock) {
  timespec time{};
  // Fails where the thread has ended.
  return ::clock_gettime(clock, &time) == 0 ? absl::DurationFromTimespec(time)
                                            : absl::ZeroDuration();
}

}  // namespace

PollerBeats::Beat& PollerBeats::Join() {
  const std::lock_guard<std::mutex> lock(mutex_);
  Beat& beat = beats_.emplace_back();
  ::pthread_getcpuclockid(::pthread_self(), &beat.cpu_clock_);
  beat.cpu_then_ = Read(beat.cpu_clock_);
  return beat;
}

absl::Duration PollerBeats::Stuck() {
  const std::lock_guard<std::mutex> lock(mutex_);
  absl::Duration longest = absl::ZeroDuration();
  for (Beat& beat : beats_) {
    const uint64_t events = beat.events_.load(std::memory_order_relaxed);
    const absl::Duration cpu = Read(beat.cpu_clock_);
    if (events != beat.seen_) {
      beat.seen_ = events;
      beat.cpu_then_ = cpu;
    }
    longest = std::max(longest, cpu - beat.cpu_then_);
  }
  return longest;
}

}  // namespace timbre
