// How a catalog comes to know its data directory.
#include <memory>
#include <utility>

#include "absl/memory/memory.h"
#include "server/base/file_system.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/catalog/catalog.h"
#include "server/catalog/catalog_state.h"
#include "server/catalog/file_names.h"
#include "server/catalog/recovery.h"
#include "server/catalog/speaker_name.h"

namespace timbre {

absl::StatusOr<std::unique_ptr<Catalog>> Catalog::Open(CatalogOptions options) {
  TIMBRE_RETURN_IF_ERROR(MakeDirectories(options.data_dir));
  TIMBRE_ASSIGN_OR_RETURN(DirLock lock, DirLock::Take(options.data_dir));
  auto catalog =
      absl::WrapUnique(new Catalog(std::move(options), std::move(lock)));
  TIMBRE_RETURN_IF_ERROR(catalog->Recover());
  return catalog;
}

absl::Status Catalog::Recover() {
  const std::string staging = StagingDir(options_.data_dir);
  TIMBRE_RETURN_IF_ERROR(RemoveTree(staging));
  TIMBRE_RETURN_IF_ERROR(MakeDirectories(staging));
  TIMBRE_RETURN_IF_ERROR(MakeDirectories(SpeakersDir(options_.data_dir)));
  TIMBRE_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                          ListDirectory(SpeakersDir(options_.data_dir)));
  for (const std::string& name : names) {
    absl::Status status = CheckSpeakerName(name);
    if (status.ok()) {
      status = RecoverSpeaker(name);
      // Publishing into a directory that cannot be read could reuse numbers.
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
                                         uint64_t number) const {
  auto version = std::make_shared<Version>();
  version->speaker = speaker;
  version->number = number;
  version->directory = VersionDir(options_.data_dir, speaker, number);
  auto record = ReadVersionRecord(version->directory, speaker, number);
  version->damage = record.status();
  if (record.ok()) {
    version->record = std::make_shared<const VersionRecord>(*std::move(record));
  } else {
    Log(LogLevel::kError, "version_damaged",
        {{"speaker", speaker},
         {"version", number},
         {"error", std::string(version->damage.message())}});
  }
  return version;
}

absl::Status Catalog::RecoverSpeaker(const std::string& name) {
  auto speaker = std::make_shared<Speaker>();
  speaker->name = name;
  TIMBRE_ASSIGN_OR_RETURN(const std::vector<std::string> entries,
                          ListDirectory(SpeakerDir(options_.data_dir, name)));
  for (const std::string& entry : entries) {
    const std::optional<uint64_t> number = ParseVersion(entry);
    if (!number) continue;
    speaker->versions[*number] = ReadVersion(name, *number);
  }
  std::vector<FoundVersion> found;
  for (const auto& [number, version] : speaker->versions) {
    found.push_back(
        {.version = number,
         .intact = version->damage.ok(),
         .keep_inactive = version->record != nullptr &&
                          version->record->manifest.keep_inactive()});
  }
  const auto state = ReadSpeakerState(StatePath(options_.data_dir, name));
  if (!state.ok() && !absl::IsDataLoss(state.status())) {
    return state.status();  // unreadable for now: not to be overwritten
  }
  const RecoveryPlan plan = PlanRecovery(
      state.ok() ? std::optional<storage::SpeakerState>(*state) : std::nullopt,
      found);
  speaker->state = plan.state;
  speaker->reserved = plan.state.last_version();
  for (const uint64_t number : plan.garbage) speaker->versions.erase(number);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    speakers_[name] = std::move(speaker);
  }
  CarryOut(name, plan);
  return absl::OkStatus();
}

// What fails here fails again on the next start; the voice serves.
void Catalog::CarryOut(const std::string& name, const RecoveryPlan& plan) {
  absl::Status status;
  if (plan.write_state) {
    Log(LogLevel::kWarning, "speaker_state_recovered",
        {{"speaker", name},
         {"active_version", plan.state.active_version()},
         {"last_version", plan.state.last_version()}});
    status.Update(
        WriteSpeakerState(StatePath(options_.data_dir, name), plan.state));
  }
  for (const uint64_t number : plan.garbage) {
    status.Update(RemoveVersionDir(name, number));
  }
  if (!status.ok()) {
    Log(LogLevel::kError, "recovery_incomplete",
        {{"speaker", name}, {"error", std::string(status.message())}});
  }
}

}  // namespace timbre
