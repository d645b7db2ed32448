#include "server/catalog/catalog.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/file_system.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/catalog/catalog_state.h"
#include "server/catalog/file_names.h"

namespace timbre {
namespace {

absl::Status NoSpeaker(const std::string& speaker) {
  return MakeError(
      absl::StatusCode::kNotFound, "SPEAKER_NOT_FOUND",
      absl::StrCat("speaker: there is no voice \"", Printable(speaker), "\""));
}

absl::Status NoVersion(const std::string& speaker, uint64_t version) {
  return MakeError(absl::StatusCode::kNotFound, "VERSION_NOT_FOUND",
                   absl::StrCat("version: voice \"", speaker,
                                "\" has no version ", version));
}

}  // namespace

Catalog::Catalog(CatalogOptions options, DirLock lock)
    : options_(std::move(options)),
      lock_(std::move(lock)),
      reaper_(std::make_shared<ThreadPool>("reaper", 1)) {}

Catalog::~Catalog() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    speakers_.clear();
  }
  reaper_->Stop();
}

Catalog::SpeakerPtr Catalog::Find(const std::string& speaker) {
  const auto it = speakers_.find(speaker);
  return it == speakers_.end() ? nullptr : it->second;
}

Catalog::SpeakerPtr Catalog::FindOrAdd(const std::string& speaker) {
  SpeakerPtr& entry = speakers_[speaker];
  if (entry == nullptr) {
    entry = std::make_shared<Speaker>();
    entry->name = speaker;
  }
  return entry;
}

absl::StatusOr<Catalog::VersionPtr> Catalog::Resolve(const std::string& speaker,
                                                     uint64_t version) {
  const SpeakerPtr entry = Find(speaker);
  if (entry == nullptr || entry->versions.empty()) return NoSpeaker(speaker);
  const uint64_t wanted =
      version != 0 ? version : entry->state.active_version();
  if (wanted == 0) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "NO_ACTIVE_VERSION",
                     absl::StrCat("version: voice \"", speaker,
                                  "\" has no active version; name one or "
                                  "activate one"));
  }
  const auto it = entry->versions.find(wanted);
  if (it == entry->versions.end()) return NoVersion(speaker, wanted);
  return it->second;
}

Lease Catalog::FindLoaded(const std::string& speaker, uint64_t version) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = Resolve(speaker, version);
  return found.ok() ? (*found)->Loaded() : nullptr;
}

absl::StatusOr<Lease> Catalog::Acquire(const std::string& speaker,
                                       uint64_t version) {
  while (true) {
    VersionPtr found;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      TIMBRE_ASSIGN_OR_RETURN(found, Resolve(speaker, version));
      if (Lease lease = found->Loaded(); lease != nullptr) return lease;
    }
    auto lease = Load(*found);
    if (lease.ok()) return lease;
    // It may have been deleted while it was being opened, or another one have
    // become active: only a version that is still meant is damaged.
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      TIMBRE_ASSIGN_OR_RETURN(const VersionPtr meant,
                              Resolve(speaker, version));
      if (meant != found) continue;
      if (absl::IsDataLoss(lease.status())) found->damage = lease.status();
    }
    Log(LogLevel::kError, "version_not_loaded",
        {{"speaker", speaker},
         {"version", found->number},
         {"error", std::string(lease.status().message())}});
    return Annotate(lease.status(), absl::StrCat("voice \"", speaker,
                                                 "\" version ", found->number));
  }
}

absl::StatusOr<Lease> Catalog::Load(Version& version) {
  const std::lock_guard<std::mutex> loading(version.load_mutex);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (Lease lease = version.Loaded(); lease != nullptr) return lease;
  }
  // Read again rather than trusted from start: a repaired version serves
  // without a restart, and a file that shrank since is noticed.
  TIMBRE_ASSIGN_OR_RETURN(
      VersionRecord fresh,
      ReadVersionRecord(version.directory, version.speaker, version.number));
  auto record = std::make_shared<const VersionRecord>(std::move(fresh));
  std::shared_ptr<const SpeakerIndex> index;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    index = version.index.lock();
  }
  if (index == nullptr || !index->store().Check().ok()) {
    TIMBRE_ASSIGN_OR_RETURN(
        index, SpeakerIndex::Open(record->Describe(version.directory),
                                  *options_.kernels));
  }
  Lease lease = MakeLease(std::move(record), std::move(index));
  const std::lock_guard<std::mutex> lock(mutex_);
  version.open = lease;
  version.index = lease->index;
  version.record = lease->record;
  version.damage = absl::OkStatus();
  const SpeakerPtr speaker = Find(version.speaker);
  if (speaker != nullptr && speaker->state.active_version() == version.number) {
    version.keep_open = lease;
  }
  return lease;
}

Lease Catalog::MakeLease(std::shared_ptr<const VersionRecord> record,
                         std::shared_ptr<const SpeakerIndex> index) {
  auto* const loaded = new LoadedVersion{std::move(record), std::move(index)};
  return Lease(loaded, [reaper = reaper_](const LoadedVersion* version) {
    // Deleted with the task: on the reaper's thread, or here after its end.
    std::shared_ptr<const LoadedVersion> owned(version);
    reaper->Submit([owned = std::move(owned)] {});
  });
}

SpeakerInfo Catalog::Describe(const Speaker& speaker, bool active_only) const {
  SpeakerInfo info{.speaker = speaker.name,
                   .active_version = speaker.state.active_version(),
                   .versions = {}};
  for (const auto& [number, version] : speaker.versions) {
    const bool active = number == info.active_version;
    if (active_only && !active) continue;
    const Lease lease = version->Loaded();
    info.versions.push_back(
        {.version = number,
         .record = lease != nullptr ? lease->record : version->record,
         .damage = lease != nullptr ? absl::OkStatus() : version->damage,
         .active = active,
         .loaded = lease != nullptr});
  }
  return info;
}

absl::StatusOr<SpeakerInfo> Catalog::DescribeLocked(
    const std::string& speaker) {
  const SpeakerPtr entry = Find(speaker);
  if (entry == nullptr || entry->versions.empty()) return NoSpeaker(speaker);
  return Describe(*entry, false);
}

absl::StatusOr<SpeakerInfo> Catalog::GetSpeaker(const std::string& speaker) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return DescribeLocked(speaker);
}

std::vector<SpeakerInfo> Catalog::List(absl::string_view prefix,
                                       absl::string_view after, size_t limit) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<SpeakerInfo> infos;
  auto it = after < prefix ? speakers_.lower_bound(std::string(prefix))
                           : speakers_.upper_bound(std::string(after));
  for (; it != speakers_.end() && infos.size() < limit; ++it) {
    if (!absl::StartsWith(it->first, prefix)) break;
    if (!it->second->versions.empty()) {
      infos.push_back(Describe(*it->second, true));
    }
  }
  return infos;
}

std::optional<VersionInfo> Catalog::FindRequest(const std::string& speaker,
                                                const std::string& request_id) {
  if (request_id.empty()) return std::nullopt;
  const std::lock_guard<std::mutex> lock(mutex_);
  const SpeakerPtr entry = Find(speaker);
  if (entry == nullptr) return std::nullopt;
  for (VersionInfo& info : Describe(*entry, false).versions) {
    if (info.record != nullptr &&
        info.record->manifest.request_id() == request_id) {
      return std::move(info);
    }
  }
  return std::nullopt;
}

CatalogStats Catalog::Stats() {
  const std::lock_guard<std::mutex> lock(mutex_);
  CatalogStats stats;
  for (const auto& [name, speaker] : speakers_) {
    bool loaded = false;
    for (const auto& [number, version] : speaker->versions) {
      const Lease lease = version->open.lock();
      if (lease != nullptr) {
        loaded = true;
        stats.bytes_resident += lease->index->resident_bytes();
      }
      if (lease == nullptr ? !version->damage.ok()
                           : !lease->index->store().Check().ok()) {
        ++stats.versions_damaged;
      }
    }
    stats.speakers += speaker->versions.empty() ? 0 : 1;
    stats.speakers_loaded += loaded ? 1 : 0;
  }
  return stats;
}

absl::StatusOr<SpeakerInfo> Catalog::ActivateVersion(const std::string& speaker,
                                                     uint64_t version) {
  // Opened first: a damaged version must not become active. `lease` also
  // keeps it open until CommitState has taken it over.
  TIMBRE_ASSIGN_OR_RETURN(const Lease lease, Acquire(speaker, version));
  SpeakerPtr entry;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    entry = Find(speaker);
  }
  const std::lock_guard<std::mutex> writing(entry->write_mutex);
  storage::SpeakerState state;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    TIMBRE_RETURN_IF_ERROR(Resolve(speaker, version).status());
    state = entry->state;
  }
  state.set_active_version(version);
  TIMBRE_RETURN_IF_ERROR(CommitState(*entry, state, nullptr));
  const std::lock_guard<std::mutex> lock(mutex_);
  return DescribeLocked(speaker);
}

absl::StatusOr<SpeakerInfo> Catalog::DeleteVersion(const std::string& speaker,
                                                   uint64_t version) {
  SpeakerPtr entry;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    entry = Find(speaker);
  }
  if (entry == nullptr) return NoSpeaker(speaker);
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
  TIMBRE_RETURN_IF_ERROR(RemoveVersionDir(speaker, version));
  Forget(*entry, version);
  const std::lock_guard<std::mutex> lock(mutex_);
  if (entry->versions.empty()) {
    return SpeakerInfo{.speaker = speaker, .active_version = 0, .versions = {}};
  }
  return DescribeLocked(speaker);
}

absl::Status Catalog::DeleteSpeaker(const std::string& speaker) {
  SpeakerPtr entry;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    entry = Find(speaker);
  }
  if (entry == nullptr) return NoSpeaker(speaker);
  const std::lock_guard<std::mutex> writing(entry->write_mutex);
  if (entry->versions.empty()) return NoSpeaker(speaker);
  // One rename decides; the directories are garbage from then on.
  storage::SpeakerState state = entry->state;
  state.set_active_version(0);
  state.set_deleted_through(state.last_version());
  TIMBRE_RETURN_IF_ERROR(CommitState(*entry, state, nullptr));
  std::map<uint64_t, VersionPtr> versions;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    versions.swap(entry->versions);
    ++entry->generation;
  }
  for (const auto& [number, version] : versions) {
    if (const auto status = RemoveVersionDir(speaker, number); !status.ok()) {
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
  SpeakerPtr entry;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    entry = Find(manifest.speaker());
  }
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
  // No load in between: it would bring the defaults from before.
  const std::lock_guard<std::mutex> loading(version->load_mutex);
  TIMBRE_RETURN_IF_ERROR(WriteTuning(version->directory, tuning));
  auto record = std::make_shared<VersionRecord>(*lease->record);
  record->tuning = tuning;
  record->warnings.clear();
  const Lease tuned = MakeLease(record, lease->index);
  const std::lock_guard<std::mutex> lock(mutex_);
  version->record = std::move(record);
  version->open = tuned;
  version->index = tuned->index;
  if (version->keep_open != nullptr) version->keep_open = tuned;
  return absl::OkStatus();
}

absl::Status Catalog::CommitState(Speaker& speaker,
                                  const storage::SpeakerState& state,
                                  const VersionPtr& added) {
  TIMBRE_RETURN_IF_ERROR(
      WriteSpeakerState(StatePath(options_.data_dir, speaker.name), state));
  const std::lock_guard<std::mutex> lock(mutex_);
  speaker.state = state;
  if (added != nullptr) speaker.versions[added->number] = added;
  // The active version stays open, the others only while they are held.
  for (const auto& [number, version] : speaker.versions) {
    version->keep_open =
        number == state.active_version() ? version->open.lock() : nullptr;
  }
  return absl::OkStatus();
}

void Catalog::Forget(Speaker& speaker, uint64_t version) {
  const std::lock_guard<std::mutex> lock(mutex_);
  speaker.versions.erase(version);
}

// Renamed away at once, deleted when there is time: a large directory must
// not hold the call.
absl::Status Catalog::RemoveVersionDir(const std::string& speaker,
                                       uint64_t version) {
  const std::string from = VersionDir(options_.data_dir, speaker, version);
  TIMBRE_ASSIGN_OR_RETURN(const std::shared_ptr<Staging> trash,
                          Staging::Create(options_.data_dir, speaker, 0));
  const std::string to = absl::StrCat(trash->directory(), "/", version);
  absl::Status status = RenameDurably(from, to);
  std::error_code error;
  // Renamed but not synced is gone for everyone but a crash.
  if (!status.ok() && !std::filesystem::exists(to, error)) return status;
  reaper_->Submit([trash] {});
  return absl::OkStatus();
}

}  // namespace timbre
