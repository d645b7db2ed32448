// How a catalog comes to know its data directory.
#include <memory>
#include <utility>

#include "absl/memory/memory.h"
#include "server/base/file_system.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/catalog/catalog.h"
#include "server/catalog/catalog_state.h"
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
      if (!status.ok()) unreadable_.insert(name);
    }
    if (!status.ok()) {
      Log(LogLevel::kError, "speaker_not_recovered",
          {{"speaker", name}, {"error", std::string(status.message())}});
    }
  }
  return absl::OkStatus();
}

// As it lies on the disk, damaged or not.
Catalog::VersionPtr Catalog::ReadVersion(const std::string& speaker,
                                         uint64_t number) {
  auto version = std::make_shared<Version>();
  version->speaker = speaker;
  version->number = number;
  version->directory = VersionDir(options_.data_dir, speaker, number);
  auto record = ReadVersionRecord(version->directory, speaker, number, files());
  version->damage = record.status();
  if (record.ok()) {
    version->record = std::make_shared<const VersionRecord>(*std::move(record));
  } else {
    Log(LogLevel::kError,
        absl::IsDataLoss(version->damage) ? "version_damaged"
                                          : "version_not_read",
        {{"speaker", speaker},
         {"version", number},
         {"error", std::string(version->damage.message())}});
  }
  return version;
}

void Catalog::ReadWhatFailed(const Speaker& speaker) {
  std::vector<VersionPtr> failed;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [number, version] : speaker.versions) {
      if (version->NotRead()) failed.push_back(version);
    }
  }
  for (const VersionPtr& version : failed) {
    const VersionPtr fresh = ReadVersion(version->speaker, version->number);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!version->NotRead()) continue;
    version->record = fresh->record;
    version->damage = fresh->damage;
  }
}

absl::Status Catalog::RecoverSpeaker(const std::string& name) {
  auto speaker = std::make_shared<Speaker>();
  speaker->settled = synced_;
  speaker->name = name;
  const std::string directory = SpeakerDir(options_.data_dir, name);
  TIMBRE_ASSIGN_OR_RETURN(const std::vector<std::string> entries,
                          files().List(directory));
  absl::Status not_read;
  std::vector<FoundVersion> found;
  for (const std::string& entry : entries) {
    const std::optional<uint64_t> number = ParseVersion(entry);
    if (!number) continue;
    const VersionPtr version = ReadVersion(name, *number);
    speaker->versions[*number] = version;
    if (version->NotRead()) not_read.Update(version->damage);
  }
  for (const auto& [number, version] : speaker->versions) {
    found.push_back(
        {.version = number,
         .intact = version->damage.ok(),
         .keep_inactive = version->record != nullptr &&
                          version->record->manifest.keep_inactive()});
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
  speaker->state = plan.state;
  speaker->reserved = plan.state.last_version();
  for (const uint64_t number : plan.garbage) speaker->versions.erase(number);
  // Nobody else changes it until the plan is carried out.
  const std::lock_guard<std::mutex> writing(speaker->write_mutex);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    speakers_[name] = speaker;
  }
  CarryOut(*speaker, plan);
  return absl::OkStatus();
}

// What fails here fails again on the next start; the voice serves.
void Catalog::CarryOut(Speaker& speaker, const RecoveryPlan& plan) {
  absl::Status status;
  if (plan.write_state) {
    Log(LogLevel::kWarning, "speaker_state_recovered",
        {{"speaker", speaker.name},
         {"active_version", plan.state.active_version()},
         {"last_version", plan.state.last_version()}});
    status.Update(CommitState(speaker, plan.state));
    if (!status.ok()) {
      const std::lock_guard<std::mutex> lock(mutex_);
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
