// A hold on one open version.
#ifndef TIMBRE_SERVER_CATALOG_OPEN_LEASE_H_
#define TIMBRE_SERVER_CATALOG_OPEN_LEASE_H_

#include <compare>
#include <cstdint>
#include <memory>
#include <string>

#include "server/catalog/records/version_record.h"
#include "server/engine/search/speaker_index.h"

namespace timbre {

// A version as a caller names it; 0: the active one.
struct VoiceName {
  std::string speaker;
  uint64_t version = 0;

  auto operator<=>(const VoiceName&) const = default;
};

// An open version. Immutable and thread-safe.
struct LoadedVersion {
  std::shared_ptr<const VersionRecord> record;
  // Shared with the leases from before the version was tuned. Its last owner
  // lets it rest, or hands it to the catalogue's reaper thread (VersionLife).
  std::shared_ptr<const SpeakerIndex> index;
};

// While a lease lives, its version can be searched, whatever is published or
// deleted meanwhile. Dropping one is always quick.
using Lease = std::shared_ptr<const LoadedVersion>;

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_OPEN_LEASE_H_
