// The door by which voices are opened for streams, and for calls that export,
// tune or search a version.
#ifndef TIMBRE_SERVER_CATALOG_OPEN_VOICE_OPENER_H_
#define TIMBRE_SERVER_CATALOG_OPEN_VOICE_OPENER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/base/thread_pool.h"
#include "server/catalog/open/lease.h"
#include "server/catalog/open/memory_budget.h"

namespace timbre {

// How an opening ended; for metrics.
enum class OpeningResult : uint8_t {
  kOk,
  kNoRoom,  // MEMORY_BUDGET
  kTooLarge,
  kDamaged,
  kCancelled,  // nobody waited for it any more
  kFailed,
};
inline constexpr size_t kOpeningResults = 6;

// After a restart hundreds of streams may ask for one voice at once: it is
// opened for all of them by one thread, in the order in which voices are asked
// for. The threads are its own: whoever waits for one does not keep it from
// coming. Thread-safe.
class VoiceOpener {
 public:
  using Voices = std::vector<VoiceName>;
  using Leases = std::vector<Lease>;
  // The last one is given the leases that the opener had: it keeps none.
  using Done = std::function<void(absl::StatusOr<Leases>)>;
  // Whether somebody does not wait any more. Quick.
  using Gone = std::function<bool()>;
  // Acquires the versions, all or none; may wait for the disk, and for room
  // until `cancelled` says that nobody waits for it.
  using Acquire = std::function<absl::StatusOr<Leases>(
      std::span<const VoiceName> voices, MemoryBudget::Visit& visit,
      const std::function<bool()>& cancelled)>;
  // How an opening ended, how long it took, and whether the disk was waited
  // for. What was asked for but is no version that could be opened (NOT_FOUND,
  // FAILED_PRECONDITION) is none.
  using Observe = std::function<void(OpeningResult, absl::Duration, bool disk)>;

  // What these refer to must outlive it.
  VoiceOpener(MemoryBudget& budget, Acquire acquire, Observe observe,
              int threads);

  // `done` is called on one of its threads with what `acquire` says and the
  // frames of each voice in memory (ReadAheadFrames), or by this function after
  // Stop. What it lets go before it returns has refused nobody (see
  // MemoryBudget::Visit). Returns at once.
  void Open(const Voices& voices, Done done, Gone gone);
  // Has one of its threads call `task`, in its turn: what needs OpenNow. False:
  // it has been stopped.
  bool Run(std::function<void()> task);
  // The same of one version by such a task, without reading ahead. Not together
  // with others: an opening of version 0 that is under way may have begun
  // before a change that this caller knows to be done.
  absl::StatusOr<Lease> OpenNow(const VoiceName& voice, const Gone& gone);
  // Finishes what was asked for; whoever asks from then on is told CANCELLED.
  void Stop();

  // Openings that wait for a thread.
  uint64_t waiting() const;

 private:
  struct Waiter {
    Done done;
    Gone gone;
  };

  bool RunLocked(std::function<void()> task)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // As `acquire_`, observed.
  absl::StatusOr<Leases> AcquireObserved(const Voices& voices,
                                         MemoryBudget::Visit& visit,
                                         const Gone& gone, bool ahead);
  void AcquireForAll(const Voices& voices);
  // Who waits for them, and is to be told `status`; none: it is to be tried
  // again, since the last one who had gone was followed by others.
  std::vector<Waiter> TakeWaiters(const Voices& voices,
                                  const absl::Status& status, bool all_gone);
  bool AllGone(const Voices& voices) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  MemoryBudget& budget_;
  const Acquire acquire_;
  const Observe observe_;
  mutable Mutex mutex_;
  // Who waits for voices that are being opened.
  std::map<Voices, std::vector<Waiter>> waiting_ ABSL_GUARDED_BY(mutex_);
  uint64_t queued_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  ThreadPool threads_;  // last: it uses the others
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_OPEN_VOICE_OPENER_H_
