// How a speaker's directory is read after whatever happened to it.
#include <algorithm>
#include <utility>
#include <vector>

#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/catalog/records/file_names.h"
#include "server/catalog/store/directory_voice.h"

namespace timbre {

// What the rules must know of a version: its manifest only where the state does
// not know it.
absl::StatusOr<FoundVersion> DirectoryVoice::Find(
    uint64_t version, const std::optional<storage::SpeakerState>& state) const {
  FoundVersion found{.version = version, .intact = true};
  if (state && version <= state->last_version()) return found;
  const absl::StatusOr<VersionRecord> record = ReadRecord(version);
  if (!record.ok() && !absl::IsDataLoss(record.status())) {
    return record.status();
  }
  found.intact = record.ok();
  found.keep_inactive = record.ok() && record->manifest.keep_inactive();
  return found;
}

absl::StatusOr<std::unique_ptr<StoredVoice>> DirectoryVoice::Read(
    DirectoryStore& store, const std::string& name, bool synced) {
  auto voice = std::make_unique<DirectoryVoice>(store, name);
  TIMBRE_ASSIGN_OR_RETURN(const std::vector<std::string> entries,
                          store.files().List(voice->path()));
  const auto read =
      ReadSpeakerState(StatePath(store.data_dir(), name), store.files());
  if (!read.ok() && !absl::IsDataLoss(read.status())) {
    return read.status();  // unreadable for now: not to be overwritten
  }
  const auto state =
      read.ok() ? std::optional<storage::SpeakerState>(*read) : std::nullopt;
  for (const std::string& entry : entries) {
    if (const auto version = ParseVersion(entry)) {
      voice->versions_.push_back(*version);
    }
  }
  std::sort(voice->versions_.begin(), voice->versions_.end());
  std::vector<FoundVersion> found;
  for (const uint64_t version : voice->versions_) {
    // Nothing is decided over versions that cannot be read for now.
    TIMBRE_ASSIGN_OR_RETURN(found.emplace_back(), voice->Find(version, state));
  }
  voice->settled_ = synced;
  voice->Apply(PlanRecovery(state, found));
  return voice;
}

void DirectoryVoice::Apply(const RecoveryPlan& plan) {
  Remember(plan.state, settled_);
  reserved_ = plan.state.last_version();
  absl::Status status;
  if (plan.write_state) {
    Log(LogLevel::kWarning, "speaker_state_recovered",
        {{"speaker", name()},
         {"active_version", plan.state.active_version()},
         {"last_version", plan.state.last_version()}});
    status.Update(Commit(plan.state));
    settled_ = settled_ && status.ok();
  }
  for (const uint64_t version : plan.garbage) {
    status.Update(Trash(version));
    Forget(version);  // it is none, wherever its files are
  }
  if (!status.ok()) {
    Log(LogLevel::kError, "recovery_incomplete",
        {{"speaker", name()}, {"error", std::string(status.message())}});
  }
}

}  // namespace timbre
