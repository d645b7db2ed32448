// The catalog's own view of a speaker. Not for use outside of this folder.
#ifndef TIMBRE_SERVER_CATALOG_CATALOG_STATE_H_
#define TIMBRE_SERVER_CATALOG_CATALOG_STATE_H_

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "server/catalog/catalog.h"

namespace timbre {

struct Catalog::Version {
  // Constant after construction.
  std::string speaker;
  uint64_t number = 0;
  std::string directory;

  // One load at a time; held across disk operations.
  std::mutex load_mutex;

  // Guarded by Catalog::mutex_.
  std::shared_ptr<const VersionRecord> record;  // null: unreadable
  absl::Status damage;  // as found on start, or when it was opened last
  // An active version stays open, another one while somebody holds it.
  std::weak_ptr<const LoadedVersion> open;
  Lease keep_open;
  // Of `open` and of leases from before it was tuned.
  std::weak_ptr<const SpeakerIndex> index;

  Lease Loaded() const {
    Lease lease = open.lock();
    if (lease != nullptr && !lease->index->store().Check().ok()) return nullptr;
    return lease;
  }
};

struct Catalog::Speaker {
  std::string name;  // constant

  // One writer at a time; held across disk operations. Taken before mutex_.
  std::mutex write_mutex;

  // Guarded by Catalog::mutex_; changed only by who holds write_mutex too.
  storage::SpeakerState state;
  uint64_t reserved = 0;    // highest version number given to a publication
  uint64_t generation = 0;  // counts DeleteSpeaker
  std::map<uint64_t, VersionPtr> versions;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_CATALOG_STATE_H_
