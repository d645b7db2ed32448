#include "server/catalog/store/directory_voice.h"

#include <algorithm>
#include <utility>

#include "server/base/errors.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/catalog/records/file_names.h"
#include "server/catalog/records/retention.h"

namespace timbre {

std::string DirectoryVoice::path() const {
  return SpeakerDir(store_.data_dir(), name());
}

std::string DirectoryVoice::Directory(uint64_t version) const {
  return VersionDir(store_.data_dir(), name(), version);
}

absl::StatusOr<VersionRecord> DirectoryVoice::ReadRecord(
    uint64_t version) const {
  return ReadVersionRecord(Directory(version), name(), version, files());
}

storage::SpeakerState DirectoryVoice::State() const {
  storage::SpeakerState state;
  state.set_active_version(active_version_);
  state.set_last_version(last_version_);
  state.set_deleted_through(deleted_through_);
  return state;
}

void DirectoryVoice::Remember(const storage::SpeakerState& state,
                              bool settled) {
  active_version_ = state.active_version();
  last_version_ = state.last_version();
  deleted_through_ = state.deleted_through();
  settled_ = settled;
}

void DirectoryVoice::Forget(uint64_t version) {
  const auto found = std::find(versions_.begin(), versions_.end(), version);
  if (found != versions_.end()) versions_.erase(found);
}

VoiceView DirectoryVoice::View() {
  return {.active_version = active_version_,
          .deletions = deletions_,
          .versions = {versions_.begin(), versions_.end()}};
}

absl::Status DirectoryVoice::Activate(uint64_t version) {
  storage::SpeakerState state = State();
  state.set_active_version(version);
  return Commit(state);
}

absl::Status DirectoryVoice::Delete(uint64_t version) {
  TIMBRE_RETURN_IF_ERROR(Settle());
  return Trash(version);
}

absl::Status DirectoryVoice::DeleteAll() {
  // One rename decides; the directories are garbage from then on.
  storage::SpeakerState state = State();
  state.set_active_version(0);
  state.set_deleted_through(state.last_version());
  const absl::Status committed = Commit(state);
  if (!committed.ok() && !absl::IsUnknown(committed)) return committed;
  versions_.clear();
  ++deletions_;
  // After a power cut it may all be true again: left to the next start.
  return committed;
}

void DirectoryVoice::DropSurplus(uint32_t keep_versions) {
  for (const uint64_t version :
       SurplusVersions({versions_.begin(), versions_.end()}, active_version_,
                       last_version_, keep_versions)) {
    TrashOrSay(version);
  }
}

void DirectoryVoice::RemoveFiles(const std::vector<uint64_t>& versions) {
  for (const uint64_t version : versions) TrashOrSay(version);
}

absl::Status DirectoryVoice::ApplyTuning(uint64_t version,
                                         const Tuning& tuning) {
  TIMBRE_ASSIGN_OR_RETURN(Replacement replacement,
                          PrepareTuning(Directory(version), tuning, files(),
                                        StagingDir(store_.data_dir())));
  return replacement.Commit();
}

absl::StatusOr<Replacement> DirectoryVoice::Prepare(
    const storage::SpeakerState& state) {
  return PrepareSpeakerState(StatePath(store_.data_dir(), name()), state,
                             files(), StagingDir(store_.data_dir()));
}

absl::Status DirectoryVoice::Commit(const storage::SpeakerState& state) {
  TIMBRE_ASSIGN_OR_RETURN(Replacement replacement, Prepare(state));
  const absl::Status committed = replacement.Commit();
  if (committed.ok() || absl::IsUnknown(committed)) {
    Remember(state, committed.ok());
  }
  return committed;
}

absl::Status DirectoryVoice::Settle() {
  if (settled_) return absl::OkStatus();
  const absl::Status committed = Commit(State());
  // Nothing of what the caller asked for was begun.
  return absl::IsUnknown(committed)
             ? MakeError(absl::StatusCode::kInternal, "STORAGE_ERROR",
                         committed.message())
             : committed;
}

// Renamed away at once, deleted when there is time: a large directory must
// not hold the call.
absl::Status DirectoryVoice::Trash(uint64_t version) {
  TIMBRE_ASSIGN_OR_RETURN(
      std::shared_ptr<Staging> trash,
      Staging::Take(store_.data_dir(), name(), Directory(version), files()));
  Forget(version);
  const absl::Status synced = files().SyncDirectory(path());
  // An fsync that is good after one that failed says nothing of that one.
  settled_ = settled_ && synced.ok();
  if (!synced.ok()) {
    // After a power cut the version may be back, and then it is to be whole:
    // left to the next start.
    trash->Published();
    return OutcomeUnknown(synced);
  }
  store_.Remove(std::move(trash));
  return absl::OkStatus();
}

void DirectoryVoice::TrashOrSay(uint64_t version) {
  const absl::Status removed = Trash(version);
  if (removed.ok()) return;
  Log(LogLevel::kWarning, "version_not_removed",
      {{"speaker", name()},
       {"version", version},
       {"error", std::string(removed.message())}});
}

}  // namespace timbre
