// Runs groups of streams against a server, all at once.
#ifndef TIMBRE_CLIENT_LOAD_RUN_H_
#define TIMBRE_CLIENT_LOAD_RUN_H_

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/load/group.h"
#include "client/load/results.h"
#include "server/base/thread_priority.h"

namespace timbre::load {

struct RunOptions {
  std::string server;  // HOST:PORT, [IPV6]:PORT or unix:PATH
  absl::Duration timeout = absl::Seconds(30);  // the longest silence
  uint32_t connections = 8;                    // streams take them in turn
  uint32_t dimension = 256;
  std::chrono::nanoseconds warm_up{0};  // before the measurement
  std::chrono::nanoseconds duration{0};
  uint64_t seed = 1;
  ThreadPriority priority = ThreadPriority::kUrgent;  // of the threads
  // Called when the measurement begins and ends, if given.
  std::function<void()> on_begin;
  std::function<void()> on_end;
};

// One result per group, in their order. UNAVAILABLE if there is no server,
// INVALID_ARGUMENT if its address is none.
// Takes two threads: one sends what is due, the other receives.
absl::StatusOr<std::vector<GroupResult>> Run(const RunOptions& options,
                                             const std::vector<Group>& groups);

}  // namespace timbre::load

#endif  // TIMBRE_CLIENT_LOAD_RUN_H_
