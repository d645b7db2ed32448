#include "server/catalog/store/directory_voice.h"

#include <utility>
#include <vector>

#include "server/base/errors.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/catalog/records/file_names.h"

namespace timbre {

std::string DirectoryVoice::path() const {
  return SpeakerDir(store_.data_dir(), name_);
}

std::string DirectoryVoice::Directory(uint64_t version) const {
  return VersionDir(store_.data_dir(), name_, version);
}

absl::StatusOr<VersionRecord> DirectoryVoice::ReadRecord(
    uint64_t version) const {
  return ReadVersionRecord(Directory(version), name_, version, files());
}

VoiceView DirectoryVoice::View() {
  return {.active_version = state_.active_version(),
          .deletions = deletions_,
          .versions = versions_};
}

absl::Status DirectoryVoice::Activate(uint64_t version) {
  storage::SpeakerState state = state_;
  state.set_active_version(version);
  return Commit(state);
}

absl::Status DirectoryVoice::Delete(uint64_t version) {
  TIMBRE_RETURN_IF_ERROR(Settle());
  return Trash(version);
}

absl::Status DirectoryVoice::DeleteAll() {
  // One rename decides; the directories are garbage from then on.
  storage::SpeakerState state = state_;
  state.set_active_version(0);
  state.set_deleted_through(state.last_version());
  const absl::Status committed = Commit(state);
  if (!committed.ok() && !absl::IsUnknown(committed)) return committed;
  const std::vector<uint64_t> garbage = std::exchange(versions_, {});
  ++deletions_;
  // After a power cut it may all be true again: left to the next start.
  TIMBRE_RETURN_IF_ERROR(committed);
  for (const uint64_t version : garbage) TrashOrSay(version);
  return absl::OkStatus();
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
  return PrepareSpeakerState(StatePath(store_.data_dir(), name_), state,
                             files(), StagingDir(store_.data_dir()));
}

absl::Status DirectoryVoice::Commit(const storage::SpeakerState& state) {
  TIMBRE_ASSIGN_OR_RETURN(Replacement replacement, Prepare(state));
  const absl::Status committed = replacement.Commit();
  if (committed.ok() || absl::IsUnknown(committed)) {
    state_ = state;
    settled_ = committed.ok();
  }
  return committed;
}

absl::Status DirectoryVoice::Settle() {
  if (settled_) return absl::OkStatus();
  const absl::Status committed = Commit(state_);
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
      Staging::Take(store_.data_dir(), name_, Directory(version), files()));
  std::erase(versions_, version);
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
      {{"speaker", name_},
       {"version", version},
       {"error", std::string(removed.message())}});
}

}  // namespace timbre
