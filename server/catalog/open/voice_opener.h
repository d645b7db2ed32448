// Opens voices for streams: nobody waits for a voice on a thread.
#ifndef TIMBRE_SERVER_CATALOG_OPEN_VOICE_OPENER_H_
#define TIMBRE_SERVER_CATALOG_OPEN_VOICE_OPENER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/thread_pool.h"
#include "server/catalog/open/lease.h"

namespace timbre {

// After a restart hundreds of streams may ask for one voice at once: it is
// opened for all of them by one thread of `io`, and the others go on with
// builds, the catalog and other voices. Thread-safe.
class VoiceOpener {
 public:
  using Done = std::function<void(absl::StatusOr<Lease>)>;
  // Opens a version of a speaker (0: the active one); may wait for the disk.
  using Acquire = std::function<absl::StatusOr<Lease>(
      const std::string& speaker, uint64_t version)>;

  // `io`, and what `acquire` refers to, must outlive it and what it was asked
  // for.
  VoiceOpener(Acquire acquire, ThreadPool& io)
      : acquire_(std::move(acquire)), io_(io) {}

  // `done` is called on a thread of `io` with what `acquire` says.
  void Open(const std::string& speaker, uint64_t version, Done done);

 private:
  using Voice = std::pair<std::string, uint64_t>;

  void AcquireForAll(const Voice& voice);

  const Acquire acquire_;
  ThreadPool& io_;
  std::mutex mutex_;
  // Who waits for a voice that is being opened; guarded by mutex_.
  std::map<Voice, std::vector<Done>> waiting_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_OPEN_VOICE_OPENER_H_
