// What changes a voice that is there. The rules: what is acknowledged is on the
// disk; memory never says what a restart would not say; an fsync that failed is
// not repeated.
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/catalog/catalog.h"
#include "server/catalog/catalog_state.h"
#include "server/catalog/records/file_names.h"

namespace timbre {

absl::StatusOr<SpeakerInfo> Catalog::ActivateVersion(const std::string& speaker,
                                                     uint64_t version) {
  // Opened first: a damaged version must not become active. `lease` also
  // keeps it open until Adopt has taken it over.
  TIMBRE_ASSIGN_OR_RETURN(const Lease lease, Acquire(speaker, version));
  TIMBRE_ASSIGN_OR_RETURN(const SpeakerPtr entry, Known(speaker));
  const std::lock_guard<std::mutex> writing(entry->write_mutex);
  storage::SpeakerState state;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    TIMBRE_RETURN_IF_ERROR(Resolve(speaker, version).status());
    state = entry->state;
  }
  state.set_active_version(version);
  TIMBRE_RETURN_IF_ERROR(CommitState(*entry, state));
  const std::lock_guard<std::mutex> lock(mutex_);
  return DescribeLocked(speaker);
}

absl::StatusOr<SpeakerInfo> Catalog::DeleteVersion(const std::string& speaker,
                                                   uint64_t version) {
  TIMBRE_ASSIGN_OR_RETURN(const SpeakerPtr entry, Known(speaker));
  const std::lock_guard<std::mutex> writing(entry->write_mutex);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    TIMBRE_ASSIGN_OR_RETURN(const VersionPtr found, Resolve(speaker, version));
    if (entry->state.active_version() == found->number) {
      return MakeError(
          absl::StatusCode::kFailedPrecondition, "VERSION_ACTIVE",
          absl::StrCat("version: ", version, " of voice \"", speaker,
                       "\" is active; activate another first, "
                       "or delete the speaker"));
    }
  }
  TIMBRE_RETURN_IF_ERROR(Settle(*entry));
  TIMBRE_RETURN_IF_ERROR(RemoveVersion(*entry, version));
  const std::lock_guard<std::mutex> lock(mutex_);
  if (entry->versions.empty()) {
    return SpeakerInfo{.speaker = speaker, .active_version = 0, .versions = {}};
  }
  return DescribeLocked(speaker);
}

absl::Status Catalog::DeleteSpeaker(const std::string& speaker) {
  TIMBRE_ASSIGN_OR_RETURN(const SpeakerPtr entry, Known(speaker));
  const std::lock_guard<std::mutex> writing(entry->write_mutex);
  if (entry->versions.empty()) return NoSpeaker(speaker);
  // One rename decides; the directories are garbage from then on.
  storage::SpeakerState state = entry->state;
  state.set_active_version(0);
  state.set_deleted_through(state.last_version());
  const absl::Status committed = CommitState(*entry, state);
  if (!committed.ok() && !absl::IsUnknown(committed)) return committed;
  std::map<uint64_t, VersionPtr> versions;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    versions.swap(entry->versions);
    ++entry->generation;
  }
  // After a power cut it may all be true again: left to the next start.
  TIMBRE_RETURN_IF_ERROR(committed);
  for (const auto& [number, version] : versions) {
    if (const auto status = TrashVersionDir(*entry, number); !status.ok()) {
      Log(LogLevel::kWarning, "version_not_removed",
          {{"speaker", speaker},
           {"version", number},
           {"error", std::string(status.message())}});
    }
  }
  return absl::OkStatus();
}

absl::Status Catalog::ApplyTuning(const Lease& lease, const Tuning& tuning) {
  const storage::Manifest& manifest = lease->record->manifest;
  TIMBRE_ASSIGN_OR_RETURN(const SpeakerPtr entry, Known(manifest.speaker()));
  const std::lock_guard<std::mutex> writing(entry->write_mutex);
  VersionPtr version;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = entry->versions.find(manifest.version());
    if (found == entry->versions.end()) {
      return MakeError(absl::StatusCode::kAborted, "VERSION_DELETED",
                       absl::StrCat("version ", manifest.version(),
                                    " of voice \"", manifest.speaker(),
                                    "\" was deleted while it was tuned"));
    }
    version = found->second;
  }
  TIMBRE_RETURN_IF_ERROR(Settle(*entry));
  // No load in between: it would bring the defaults from before.
  const std::lock_guard<std::mutex> loading(version->load_mutex);
  TIMBRE_ASSIGN_OR_RETURN(Replacement replacement,
                          PrepareTuning(version->directory, tuning, files(),
                                        StagingDir(options_.data_dir)));
  const absl::Status committed = replacement.Commit();
  if (!committed.ok() && !absl::IsUnknown(committed)) return committed;
  auto record = std::make_shared<VersionRecord>(*lease->record);
  record->tuning = tuning;
  record->warnings.clear();
  const Lease tuned = MakeLease(record, lease->index);
  const std::lock_guard<std::mutex> lock(mutex_);
  version->record = std::move(record);
  version->open = tuned;
  version->index = tuned->index;
  if (version->keep_open != nullptr) version->keep_open = tuned;
  return committed;
}

absl::Status Catalog::CommitState(Speaker& speaker,
                                  const storage::SpeakerState& state) {
  TIMBRE_ASSIGN_OR_RETURN(
      Replacement replacement,
      PrepareSpeakerState(StatePath(options_.data_dir, speaker.name), state,
                          files(), StagingDir(options_.data_dir)));
  const absl::Status committed = replacement.Commit();
  if (committed.ok() || absl::IsUnknown(committed)) {
    Adopt(speaker, state, nullptr, committed.ok());
  }
  return committed;
}

void Catalog::Adopt(Speaker& speaker, const storage::SpeakerState& state,
                    const VersionPtr& added, bool settled) {
  const std::lock_guard<std::mutex> lock(mutex_);
  speaker.state = state;
  speaker.settled = settled;
  if (added != nullptr) speaker.versions[added->number] = added;
  // The active version stays open, the others only while they are held.
  for (const auto& [number, version] : speaker.versions) {
    version->keep_open =
        number == state.active_version() ? version->open.lock() : nullptr;
  }
}

absl::Status Catalog::Settle(Speaker& speaker) {
  if (speaker.settled) return absl::OkStatus();
  const absl::Status committed = CommitState(speaker, speaker.state);
  // Nothing of what the caller asked for was begun.
  return absl::IsUnknown(committed)
             ? MakeError(absl::StatusCode::kInternal, "STORAGE_ERROR",
                         committed.message())
             : committed;
}

absl::Status Catalog::RemoveVersion(Speaker& speaker, uint64_t version) {
  const absl::Status status = TrashVersionDir(speaker, version);
  if (!status.ok() && !absl::IsUnknown(status)) return status;
  const std::lock_guard<std::mutex> lock(mutex_);
  speaker.versions.erase(version);
  return status;
}

// Renamed away at once, deleted when there is time: a large directory must
// not hold the call.
absl::Status Catalog::TrashVersionDir(Speaker& speaker, uint64_t version) {
  TIMBRE_ASSIGN_OR_RETURN(
      const std::shared_ptr<Staging> trash,
      Staging::Take(options_.data_dir, speaker.name,
                    VersionDir(options_.data_dir, speaker.name, version),
                    files()));
  const absl::Status synced =
      files().SyncDirectory(SpeakerDir(options_.data_dir, speaker.name));
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    // An fsync that is good after one that failed says nothing of that one.
    speaker.settled = speaker.settled && synced.ok();
  }
  if (!synced.ok()) {
    // After a power cut the version may be back, and then it is to be whole:
    // left to the next start.
    trash->Published();
    return OutcomeUnknown(synced);
  }
  reaper_->Submit([trash] {});
  return absl::OkStatus();
}

}  // namespace timbre
