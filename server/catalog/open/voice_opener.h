// The door by which voices are opened: of streams, and of calls that read,
// export, tune or build upon a version.
#ifndef TIMBRE_SERVER_CATALOG_OPEN_VOICE_OPENER_H_
#define TIMBRE_SERVER_CATALOG_OPEN_VOICE_OPENER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/mutex.h"
#include "server/base/thread_pool.h"
#include "server/catalog/open/lease.h"

namespace timbre {

// After a restart hundreds of streams may ask for one voice at once: it is
// opened for all of them by one thread, in the order in which voices are asked
// for. The threads are its own: whoever waits for one does not keep it from
// coming. Thread-safe.
class VoiceOpener {
 public:
  using Done = std::function<void(absl::StatusOr<Lease>)>;
  // Opens a version of a speaker (0: the active one); may wait for the disk.
  using Acquire = std::function<absl::StatusOr<Lease>(
      const std::string& speaker, uint64_t version)>;

  // What `acquire` refers to must outlive it.
  VoiceOpener(Acquire acquire, int threads);

  // `done` is called on one of its threads with what `acquire` says, or by this
  // function after Stop. Returns at once.
  void Open(const std::string& speaker, uint64_t version, Done done);
  // Opens it on the calling thread, which waits for the disk. Not together with
  // others: an opening of version 0 that is under way may have begun before a
  // change that this caller knows to be done.
  absl::StatusOr<Lease> OpenNow(const std::string& speaker, uint64_t version);
  // Finishes what was asked for; whoever asks from then on is told CANCELLED.
  void Stop();

 private:
  using Voice = std::pair<std::string, uint64_t>;

  void AcquireForAll(const Voice& voice);

  const Acquire acquire_;
  Mutex mutex_;
  // Who waits for a voice that is being opened.
  std::map<Voice, std::vector<Done>> waiting_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  ThreadPool threads_;  // last: it uses the others
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_OPEN_VOICE_OPENER_H_
