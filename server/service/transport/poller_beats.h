// Whether the threads that poll gRPC come to their events.
#ifndef TIMBRE_SERVER_SERVICE_TRANSPORT_POLLER_BEATS_H_
#define TIMBRE_SERVER_SERVICE_TRANSPORT_POLLER_BEATS_H_

#include <time.h>

#include <atomic>
#include <cstdint>
#include <deque>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"

namespace timbre {

// A thread that polls reads connections too, and goes on with one as long as
// it finds something there (gRPC 1.51): a peer that sends faster than its
// frames are parsed keeps it from all events. Thread-safe.
class PollerBeats {
 public:
  class Beat {
   public:
    // An event came. Called by the thread alone.
    void Count() {
      events_.store(events_.load(std::memory_order_relaxed) + 1,
                    std::memory_order_relaxed);
    }

   private:
    friend class PollerBeats;
    std::atomic<uint64_t> events_{0};
    clockid_t cpu_clock_ = 0;  // of the thread
    uint64_t seen_ = 0;        // of events_, when Stuck found it changed
    absl::Duration cpu_then_;
    absl::Duration cpu_last_;  // at the last look
  };

  // For the calling thread, which polls from now on.
  Beat& Join();
  // How much CPU time the thread that is worst off has used since its last
  // event, or since it slept, as far as calls of this function show. For one
  // caller.
  absl::Duration Stuck();

 private:
  Mutex mutex_;
  // But for their events_, which the threads count.
  std::deque<Beat> beats_ ABSL_GUARDED_BY(mutex_);
  absl::Time last_look_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_TRANSPORT_POLLER_BEATS_H_
