// Reads all that is stored, again and again: disks forget, and what nobody
// opens nobody would miss until it is needed.
#ifndef TIMBRE_SERVER_CATALOG_SCRUBBER_H_
#define TIMBRE_SERVER_CATALOG_SCRUBBER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/time/time.h"
#include "server/base/background_pool.h"
#include "server/base/monotonic_clock.h"
#include "server/base/semaphore.h"
#include "server/catalog/catalog.h"

namespace timbre {

// When what may be read, at a rate. Not thread-safe.
class Pace {
 public:
  explicit Pace(uint64_t bytes_per_second)
      : bytes_per_second_(static_cast<double>(bytes_per_second)) {}
  // How long to wait after `bytes` were read at `now`, which never goes back.
  // Time that was not used is not made up for.
  absl::Duration Take(uint64_t bytes, absl::Time now);

 private:
  const double bytes_per_second_;
  absl::Time due_ = absl::InfinitePast();
};

// Compares the files of all versions with their digests, in the order of names
// and numbers, round after round, and tells the catalogue what it finds. A
// thread of the lowest priority reads and compares; what takes locks is done by
// its courier. What cannot be read is tried again in the next round.
class Scrubber {
 public:
  // A round takes at least this long, however little is stored.
  static constexpr absl::Duration kShortestRound = absl::Seconds(5);
  // For each version besides its bytes: opening files is work too.
  static constexpr uint64_t kVersionBytes = 1 << 16;

  struct Options {
    uint64_t bytes_per_second = 0;  // > 0
    // The voice, modulo their number, with which the first round begins: where
    // restarts are more frequent than rounds none is to be left out.
    uint64_t first = 0;
    std::function<absl::Time()> now = MonotonicNow;
    // Waits; tests let their own time pass. Null: `stop` is waited for.
    std::function<void(absl::Duration)> wait;
  };

  // Starts at once. `catalog` outlives it.
  Scrubber(Catalog& catalog, Options options);
  // Stop().
  ~Scrubber();

  // Ends within a piece of a file. Not from its own threads.
  void Stop();

 private:
  // By the courier: what the thread does next.
  BackgroundPool::Work Next();
  BackgroundPool::Work Rest();
  void GoOn();  // by the courier
  void CompareNext(const StoredVersion& version);
  // Whether it is to go on.
  bool Wait(absl::Duration duration);

  Catalog& catalog_;
  const Options options_;
  std::atomic<bool> stopping_{false};
  Semaphore stop_;
  Pace pace_;  // of the thread
  // Of the courier.
  std::string speaker_;
  uint64_t version_ = 0;
  absl::Time round_began_;
  BackgroundPool pool_;  // last: it uses the others
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_SCRUBBER_H_
