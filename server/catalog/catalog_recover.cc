// How a catalog comes to know its data directory.
#include <memory>
#include <utility>

#include "absl/memory/memory.h"
#include "server/base/file_system.h"
#include "server/base/log.h"
#include "server/base/monotonic_clock.h"
#include "server/base/status_macros.h"
#include "server/catalog/catalog.h"
#include "server/catalog/records/file_names.h"
#include "server/catalog/records/speaker_name.h"
#include "server/catalog/recovery.h"
#include "server/catalog/store/data_directory.h"

namespace timbre {

absl::StatusOr<std::unique_ptr<Catalog>> Catalog::Open(CatalogOptions options) {
  FileSystem& files = *options.files;
  TIMBRE_RETURN_IF_ERROR(ClaimDataDirectory(options.data_dir, files));
  TIMBRE_ASSIGN_OR_RETURN(DirLock lock, DirLock::Take(options.data_dir, files));
  auto catalog =
      absl::WrapUnique(new Catalog(std::move(options), std::move(lock)));
  TIMBRE_RETURN_IF_ERROR(catalog->Recover());
  return catalog;
}

absl::Status Catalog::Recover() {
  // What a server that was killed had changed and not synced would be said to
  // be there, and be gone after a power cut.
  Log(LogLevel::kInfo, "syncing", {{"data_dir", options_.data_dir}});
  if (const auto status = files().SyncAll(options_.data_dir); !status.ok()) {
    synced_ = false;
    Log(LogLevel::kError, "data_dir_not_synced",
        {{"error", std::string(status.message())}});
  }
  TIMBRE_RETURN_IF_ERROR(
      MakeDirectories(StagingDir(options_.data_dir), files()));
  TIMBRE_RETURN_IF_ERROR(
      MakeDirectories(SpeakersDir(options_.data_dir), files()));
  RemoveLeftovers(options_.data_dir, files());
  TIMBRE_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                          files().List(SpeakersDir(options_.data_dir)));
  for (const std::string& name : names) {
    absl::Status status = CheckSpeakerName(name);
    if (status.ok()) {
      status = RecoverSpeaker(name);
      // Tried again when somebody asks for it.
      if (!status.ok()) {
        const MutexLock lock(mutex_);
        unreadable_.insert(name);
      }
    }
    if (!status.ok()) {
      Log(LogLevel::kError, "speaker_not_recovered",
          {{"speaker", name}, {"error", std::string(status.message())}});
    }
  }
  return absl::OkStatus();
}

VersionPtr Catalog::MakeVersion(const std::string& speaker, uint64_t number,
                                absl::StatusOr<VersionRecord> found) {
  auto version = std::make_shared<VersionEntry>();
  version->speaker = speaker;
  version->number = number;
  version->directory = VersionDir(options_.data_dir, speaker, number);
  version->life = std::make_shared<VersionLife>(std::move(found), reaper_);
  version->check = std::make_shared<FileCheck>(MonotonicNow());
  return version;
}

absl::StatusOr<VersionRecord> Catalog::ReadRecord(const std::string& speaker,
                                                  uint64_t number) {
  return ReadVersionRecord(VersionDir(options_.data_dir, speaker, number),
                           speaker, number, files());
}

absl::StatusOr<VersionRecord> Catalog::ReadRecordAloud(
    const std::string& speaker, uint64_t number) {
  absl::StatusOr<VersionRecord> record = ReadRecord(speaker, number);
  if (!record.ok()) {
    Log(LogLevel::kError,
        absl::IsDataLoss(record.status()) ? "version_damaged"
                                          : "version_not_read",
        {{"speaker", speaker},
         {"version", number},
         {"error", std::string(record.status().message())}});
  }
  return record;
}

void Catalog::ReadWhatFailed(const SpeakerEntry& speaker) {
  std::vector<VersionPtr> failed;
  {
    const MutexLock lock(speaker.mutex);
    for (const auto& [number, version] : speaker.versions) {
      if (version->life->NotRead()) failed.push_back(version);
    }
  }
  for (const VersionPtr& version : failed) {
    version->life->ReadAgain(
        ReadRecordAloud(version->speaker, version->number));
  }
}

absl::Status Catalog::RecoverSpeaker(const std::string& name) {
  TIMBRE_ASSIGN_OR_RETURN(const std::vector<std::string> entries,
                          files().List(SpeakerDir(options_.data_dir, name)));
  absl::Status not_read;
  std::map<uint64_t, VersionPtr> versions;
  for (const std::string& entry : entries) {
    const std::optional<uint64_t> number = ParseVersion(entry);
    if (!number) continue;
    const VersionPtr version =
        MakeVersion(name, *number, ReadRecordAloud(name, *number));
    versions[*number] = version;
    if (version->life->NotRead()) not_read.Update(version->life->Look().damage);
  }
  std::vector<FoundVersion> found;
  for (const auto& [number, version] : versions) {
    const VersionLife::View view = version->life->Look();
    found.push_back({.version = number,
                     .intact = view.damage.ok(),
                     .keep_inactive = view.record != nullptr &&
                                      view.record->manifest.keep_inactive()});
  }
  const auto state =
      ReadSpeakerState(StatePath(options_.data_dir, name), files());
  if (!state.ok() && !absl::IsDataLoss(state.status())) {
    return state.status();  // unreadable for now: not to be overwritten
  }
  const RecoveryPlan plan = PlanRecovery(
      state.ok() ? std::optional<storage::SpeakerState>(*state) : std::nullopt,
      found);
  // Nothing is decided over versions that cannot be read for now.
  if (plan.write_state) TIMBRE_RETURN_IF_ERROR(not_read);
  for (const uint64_t number : plan.garbage) versions.erase(number);
  const auto speaker = std::make_shared<SpeakerEntry>(name);
  // Nobody else changes it until the plan is carried out.
  const MutexLock writing(speaker->write_mutex);
  {
    const MutexLock lock(speaker->mutex);
    speaker->settled = synced_;
    speaker->state = plan.state;
    speaker->reserved = plan.state.last_version();
    speaker->versions = std::move(versions);
  }
  {
    const MutexLock lock(mutex_);
    speakers_[name] = speaker;
  }
  ApplyPlan(*speaker, plan);
  return absl::OkStatus();
}

// What fails here fails again on the next start; the voice serves.
void Catalog::ApplyPlan(SpeakerEntry& speaker, const RecoveryPlan& plan) {
  absl::Status status;
  if (plan.write_state) {
    Log(LogLevel::kWarning, "speaker_state_recovered",
        {{"speaker", speaker.name},
         {"active_version", plan.state.active_version()},
         {"last_version", plan.state.last_version()}});
    status.Update(CommitState(speaker, plan.state));
    if (!status.ok()) {
      const MutexLock lock(speaker.mutex);
      speaker.settled = false;
    }
  }
  for (const uint64_t number : plan.garbage) {
    status.Update(TrashVersionDir(speaker, number));
  }
  if (!status.ok()) {
    Log(LogLevel::kError, "recovery_incomplete",
        {{"speaker", speaker.name}, {"error", std::string(status.message())}});
  }
}

}  // namespace timbre
