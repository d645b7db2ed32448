// What changes a voice that is there. The rules: what is acknowledged is on the
// disk; memory never says what a restart would not say; an fsync that failed is
// not repeated.
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/catalog/catalog.h"
#include "server/catalog/records/file_names.h"
#include "server/catalog/records/voice_errors.h"

namespace timbre {

absl::StatusOr<SpeakerInfo> Catalog::ActivateVersion(const std::string& speaker,
                                                     uint64_t version) {
  // Opened first: a damaged version must not become active. `lease` also
  // keeps it open until Adopt has taken it over.
  MemoryBudget::Visit visit(budget());  // no stream: it refuses nobody
  TIMBRE_ASSIGN_OR_RETURN(const Lease lease,
                          AcquireForSure({speaker, version}, visit));
  return Write(speaker, &Catalog::ActivateVersionOf, version);
}

absl::StatusOr<SpeakerInfo> Catalog::ActivateVersionOf(SpeakerEntry& speaker,
                                                       uint64_t version) {
  TIMBRE_RETURN_IF_ERROR(Resolve(speaker, version).status());
  storage::SpeakerState state = speaker.State();
  state.set_active_version(version);
  TIMBRE_RETURN_IF_ERROR(CommitState(speaker, state));
  return DescribeAll(speaker);
}

absl::StatusOr<SpeakerInfo> Catalog::DeleteVersion(const std::string& speaker,
                                                   uint64_t version) {
  return Write(speaker, &Catalog::DeleteVersionOf, version);
}

absl::StatusOr<SpeakerInfo> Catalog::DeleteVersionOf(SpeakerEntry& speaker,
                                                     uint64_t version) {
  TIMBRE_ASSIGN_OR_RETURN(const VersionEntry found, Resolve(speaker, version));
  if (speaker.State().active_version() == found.number) {
    return VersionActive(speaker.name, version);
  }
  TIMBRE_RETURN_IF_ERROR(Settle(speaker));
  TIMBRE_RETURN_IF_ERROR(RemoveVersion(speaker, version));
  // Of the last one nothing is left to be described.
  return Describe(speaker, false);
}

absl::Status Catalog::DeleteSpeaker(const std::string& speaker) {
  return Write(speaker, &Catalog::DeleteAllOf);
}

absl::Status Catalog::DeleteAllOf(SpeakerEntry& speaker) {
  {
    const MutexLock lock(speaker.mutex);
    if (speaker.versions.empty()) return NoSpeaker(speaker.name);
  }
  // One rename decides; the directories are garbage from then on.
  storage::SpeakerState state = speaker.State();
  state.set_active_version(0);
  state.set_deleted_through(state.last_version());
  const absl::Status committed = CommitState(speaker, state);
  if (!committed.ok() && !absl::IsUnknown(committed)) return committed;
  std::map<uint64_t, LifePtr> versions;
  {
    const MutexLock lock(speaker.mutex);
    versions.swap(speaker.versions);
    ++speaker.generation;
  }
  // After a power cut it may all be true again: left to the next start.
  TIMBRE_RETURN_IF_ERROR(committed);
  for (const auto& [number, life] : versions) {
    SayIfNotRemoved(speaker, number, TrashVersionDir(speaker, number));
  }
  return absl::OkStatus();
}

absl::Status Catalog::ApplyTuning(const Lease& lease, const Tuning& tuning) {
  return Write(lease->record->manifest.speaker(), &Catalog::ApplyTuningTo,
               lease, tuning);
}

absl::Status Catalog::ApplyTuningTo(SpeakerEntry& speaker, const Lease& lease,
                                    const Tuning& tuning) {
  const auto version = Resolve(speaker, lease->record->manifest.version());
  if (!version.ok()) {
    return VersionDeleted(speaker.name, lease->record->manifest.version());
  }
  TIMBRE_RETURN_IF_ERROR(Settle(speaker));
  auto record = std::make_shared<VersionRecord>(*lease->record);
  record->tuning = tuning;
  record->warnings.clear();
  return version->life->ReplaceRecord(std::move(record), [&]() -> absl::Status {
    TIMBRE_ASSIGN_OR_RETURN(
        Replacement replacement,
        PrepareTuning(
            VersionDir(options_.data_dir, speaker.name, version->number),
            tuning, files(), StagingDir(options_.data_dir)));
    return replacement.Commit();
  });
}

absl::Status Catalog::CommitState(SpeakerEntry& speaker,
                                  const storage::SpeakerState& state) {
  TIMBRE_ASSIGN_OR_RETURN(
      Replacement replacement,
      PrepareSpeakerState(StatePath(options_.data_dir, speaker.name), state,
                          files(), StagingDir(options_.data_dir)));
  const absl::Status committed = replacement.Commit();
  if (committed.ok() || absl::IsUnknown(committed)) {
    Adopt(speaker, state, {}, committed.ok());
  }
  return committed;
}

void Catalog::Adopt(SpeakerEntry& speaker, const storage::SpeakerState& state,
                    const VersionEntry& added, bool settled) {
  const MutexLock lock(speaker.mutex);
  speaker.state = state;
  speaker.settled = settled;
  if (added.life != nullptr) speaker.versions[added.number] = added.life;
  // The active version stays open, the others only while they are held.
  for (const auto& [number, life] : speaker.versions) {
    life->KeepOpen(number == state.active_version());
  }
}

absl::Status Catalog::Settle(SpeakerEntry& speaker) {
  {
    const MutexLock lock(speaker.mutex);
    if (speaker.settled) return absl::OkStatus();
  }
  const absl::Status committed = CommitState(speaker, speaker.State());
  // Nothing of what the caller asked for was begun.
  return absl::IsUnknown(committed)
             ? MakeError(absl::StatusCode::kInternal, "STORAGE_ERROR",
                         committed.message())
             : committed;
}

absl::Status Catalog::RemoveVersion(SpeakerEntry& speaker, uint64_t version) {
  const absl::Status status = TrashVersionDir(speaker, version);
  if (!status.ok() && !absl::IsUnknown(status)) return status;
  const MutexLock lock(speaker.mutex);
  speaker.versions.erase(version);
  return status;
}

void Catalog::SayIfNotRemoved(const SpeakerEntry& speaker, uint64_t version,
                              const absl::Status& removed) {
  if (removed.ok()) return;
  Log(LogLevel::kWarning, "version_not_removed",
      {{"speaker", speaker.name},
       {"version", version},
       {"error", std::string(removed.message())}});
}

// Renamed away at once, deleted when there is time: a large directory must
// not hold the call.
absl::Status Catalog::TrashVersionDir(SpeakerEntry& speaker, uint64_t version) {
  TIMBRE_ASSIGN_OR_RETURN(
      const std::shared_ptr<Staging> trash,
      Staging::Take(options_.data_dir, speaker.name,
                    VersionDir(options_.data_dir, speaker.name, version),
                    files()));
  const absl::Status synced =
      files().SyncDirectory(SpeakerDir(options_.data_dir, speaker.name));
  {
    const MutexLock lock(speaker.mutex);
    // An fsync that is good after one that failed says nothing of that one.
    speaker.settled = speaker.settled && synced.ok();
  }
  if (!synced.ok()) {
    // After a power cut the version may be back, and then it is to be whole:
    // left to the next start.
    trash->Published();
    return OutcomeUnknown(synced);
  }
  remover_.Submit([trash] {});
  return absl::OkStatus();
}

}  // namespace timbre
