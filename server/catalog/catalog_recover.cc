// How a catalog comes to know its data directory.
#include <memory>
#include <utility>

#include "absl/memory/memory.h"
#include "server/base/file_system.h"
#include "server/base/log.h"
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

absl::StatusOr<VersionRecord> Catalog::ReadRecord(const std::string& speaker,
                                                  uint64_t number) {
  return ReadVersionRecord(VersionDir(options_.data_dir, speaker, number),
                           speaker, number, files());
}

// What the rules must know of a version: its manifest only where the state does
// not know it.
absl::StatusOr<FoundVersion> Catalog::FindVersion(
    const std::string& speaker, uint64_t number,
    const std::optional<storage::SpeakerState>& state) {
  FoundVersion found{.version = number, .intact = true};
  if (state && number <= state->last_version()) return found;
  const absl::StatusOr<VersionRecord> record = ReadRecord(speaker, number);
  if (!record.ok() && !absl::IsDataLoss(record.status())) {
    return record.status();
  }
  found.intact = record.ok();
  found.keep_inactive = record.ok() && record->manifest.keep_inactive();
  return found;
}

absl::Status Catalog::RecoverSpeaker(const std::string& name) {
  TIMBRE_ASSIGN_OR_RETURN(const std::vector<std::string> entries,
                          files().List(SpeakerDir(options_.data_dir, name)));
  const auto read =
      ReadSpeakerState(StatePath(options_.data_dir, name), files());
  if (!read.ok() && !absl::IsDataLoss(read.status())) {
    return read.status();  // unreadable for now: not to be overwritten
  }
  const auto state =
      read.ok() ? std::optional<storage::SpeakerState>(*read) : std::nullopt;
  // In increasing order.
  std::set<uint64_t> numbers;
  for (const std::string& entry : entries) {
    if (const auto number = ParseVersion(entry)) numbers.insert(*number);
  }
  std::vector<FoundVersion> found;
  for (const uint64_t number : numbers) {
    // Nothing is decided over versions that cannot be read for now.
    TIMBRE_ASSIGN_OR_RETURN(found.emplace_back(),
                            FindVersion(name, number, state));
  }
  const RecoveryPlan plan = PlanRecovery(state, found);
  for (const uint64_t number : plan.garbage) numbers.erase(number);
  const auto speaker = std::make_shared<SpeakerEntry>(name, open_);
  // Nobody else changes it until the plan is carried out.
  const MutexLock writing(speaker->write_mutex);
  {
    const MutexLock lock(speaker->mutex);
    speaker->settled = synced_;
    speaker->state = plan.state;
    speaker->reserved = plan.state.last_version();
    for (const uint64_t number : numbers) {
      const auto life = std::make_shared<VersionLife>(speaker->open);
      life->KeepOpen(number == plan.state.active_version());
      speaker->versions[number] = life;
    }
  }
  {
    const MutexLock lock(mutex_);
    speakers_[name] = speaker;
  }
  UpdateListed(speaker);
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
