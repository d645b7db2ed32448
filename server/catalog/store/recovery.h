// What to make of a speaker's directory after whatever happened to it.
#ifndef TIMBRE_SERVER_CATALOG_STORE_RECOVERY_H_
#define TIMBRE_SERVER_CATALOG_STORE_RECOVERY_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "timbre/storage/manifest.pb.h"

namespace timbre {

// A version directory as it was found.
struct FoundVersion {
  uint64_t version = 0;
  bool intact = false;         // manifest readable, sizes as it says
  bool keep_inactive = false;  // of an intact one: was not to become active
};

struct RecoveryPlan {
  storage::SpeakerState state;    // what is true from now on
  bool write_state = false;       // it differs from what is on disk
  std::vector<uint64_t> garbage;  // directories to remove
};

// The rules, pure:
// - versions up to deleted_through are garbage: DeleteSpeaker was under way;
// - versions above last_version were published by a server that died before
//   it wrote the state: the publication is completed;
// - without a readable state the newest intact version that was not kept
//   inactive becomes active;
// - a damaged version stays, so that it can be reported and repaired.
// `found` is in increasing order.
RecoveryPlan PlanRecovery(const std::optional<storage::SpeakerState>& state,
                          const std::vector<FoundVersion>& found);

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_STORE_RECOVERY_H_
