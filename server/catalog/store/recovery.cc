#include "server/catalog/store/recovery.h"

#include <algorithm>

namespace timbre {

RecoveryPlan PlanRecovery(const std::optional<storage::SpeakerState>& state,
                          const std::vector<FoundVersion>& found) {
  RecoveryPlan plan;
  if (state) plan.state = *state;
  plan.write_state = !state;
  bool active_found = false;
  for (const FoundVersion& version : found) {
    if (version.version <= plan.state.deleted_through()) {
      plan.garbage.push_back(version.version);
      continue;
    }
    if (version.version > plan.state.last_version()) {
      plan.state.set_last_version(version.version);
      plan.write_state = true;
      if (version.intact && !version.keep_inactive) {
        plan.state.set_active_version(version.version);
      }
    }
    active_found =
        active_found || version.version == plan.state.active_version();
  }
  if (plan.state.active_version() != 0 && !active_found) {
    plan.state.set_active_version(0);
    plan.write_state = true;
  }
  return plan;
}

}  // namespace timbre
