// The catalog's own view of a speaker. Not for use outside of this folder.
#ifndef TIMBRE_SERVER_CATALOG_CATALOG_STATE_H_
#define TIMBRE_SERVER_CATALOG_CATALOG_STATE_H_

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "server/catalog/catalog.h"

namespace timbre {

absl::Status NoSpeaker(const std::string& speaker);

struct Catalog::Version {
  // Constant after construction.
  std::string speaker;
  uint64_t number = 0;
  std::string directory;

  // One load at a time; held across disk operations.
  std::mutex load_mutex;

  // Guarded by Catalog::mutex_.
  std::shared_ptr<const VersionRecord> record;  // null: unreadable
  // As found on start, or when it was opened last; not DATA_LOSS: it could not
  // be read then.
  absl::Status damage;
  // An active version stays open, another one while somebody holds it.
  std::weak_ptr<const LoadedVersion> open;
  Lease keep_open;
  // Of `open` and of leases from before it was tuned.
  std::weak_ptr<const SpeakerIndex> index;

  // Null also if its frames were found to be damaged; looks at no page.
  Lease Loaded() const {
    Lease lease = open.lock();
    if (lease != nullptr && lease->index->store().damaged()) return nullptr;
    return lease;
  }

  bool NotRead() const { return !damage.ok() && !absl::IsDataLoss(damage); }
};

struct Catalog::Speaker {
  std::string name;  // constant

  // One writer at a time; held across disk operations. Taken before mutex_.
  std::mutex write_mutex;

  // Guarded by Catalog::mutex_; changed only by who holds write_mutex too.
  storage::SpeakerState state;
  // False: an fsync failed after the last change, so that a power cut may take
  // it back. Nothing is acknowledged that relies on it (see Settle).
  bool settled = true;
  uint64_t reserved = 0;    // highest version number given to a publication
  uint64_t generation = 0;  // counts DeleteSpeaker
  std::map<uint64_t, VersionPtr> versions;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_CATALOG_STATE_H_
