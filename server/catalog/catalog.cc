#include "server/catalog/catalog.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/catalog/catalog_state.h"

namespace timbre {

absl::Status NoSpeaker(const std::string& speaker) {
  return MakeError(
      absl::StatusCode::kNotFound, "SPEAKER_NOT_FOUND",
      absl::StrCat("speaker: there is no voice \"", Printable(speaker), "\""));
}

namespace {

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

absl::StatusOr<Catalog::SpeakerPtr> Catalog::Known(const std::string& speaker) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (SpeakerPtr entry = Find(speaker); entry != nullptr) return entry;
    if (!unreadable_.contains(speaker)) return NoSpeaker(speaker);
  }
  const std::lock_guard<std::mutex> recovering(recover_mutex_);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (SpeakerPtr entry = Find(speaker); entry != nullptr) return entry;
  }
  if (const auto status = RecoverSpeaker(speaker); !status.ok()) {
    return Annotate(status, absl::StrCat("voice \"", speaker, "\""));
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  unreadable_.erase(speaker);
  return Find(speaker);
}

absl::StatusOr<Lease> Catalog::Acquire(const std::string& speaker,
                                       uint64_t version) {
  TIMBRE_ASSIGN_OR_RETURN(const SpeakerPtr entry, Known(speaker));
  while (true) {
    VersionPtr found;
    Lease lease;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      TIMBRE_ASSIGN_OR_RETURN(found, Resolve(speaker, version));
      lease = found->Loaded();
    }
    if (lease != nullptr && lease->index->store().Check().ok()) return lease;
    auto loaded = Load(*found);
    if (loaded.ok()) return loaded;
    // It may be in the middle of being deleted, or another one have become
    // active: only a version that is still meant then is damaged.
    {
      const std::lock_guard<std::mutex> writing(entry->write_mutex);
      const std::lock_guard<std::mutex> lock(mutex_);
      TIMBRE_ASSIGN_OR_RETURN(const VersionPtr meant,
                              Resolve(speaker, version));
      if (meant != found) continue;
      // What only failed to be read is tried again by the next one.
      if (absl::IsDataLoss(loaded.status())) found->damage = loaded.status();
    }
    Log(LogLevel::kError, "version_not_loaded",
        {{"speaker", speaker},
         {"version", found->number},
         {"error", std::string(loaded.status().message())}});
    return Annotate(
        loaded.status(),
        absl::StrCat("voice \"", speaker, "\" version ", found->number));
  }
}

absl::Status Catalog::WhyUnreadable(const LoadedVersion& version,
                                    const absl::Status& status) {
  if (status.ok()) return status;
  const storage::Manifest& manifest = version.record->manifest;
  TIMBRE_ASSIGN_OR_RETURN(const SpeakerPtr entry, Known(manifest.speaker()));
  const std::lock_guard<std::mutex> writing(entry->write_mutex);
  const std::lock_guard<std::mutex> lock(mutex_);
  TIMBRE_RETURN_IF_ERROR(
      Resolve(manifest.speaker(), manifest.version()).status());
  return status;
}

absl::StatusOr<Lease> Catalog::Load(Version& version) {
  const std::lock_guard<std::mutex> loading(version.load_mutex);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (Lease lease = version.Loaded(); lease != nullptr) return lease;
  }
  // Read again rather than trusted from start: a repaired version serves
  // without a restart, and a file that shrank since is noticed.
  TIMBRE_ASSIGN_OR_RETURN(VersionRecord fresh,
                          ReadVersionRecord(version.directory, version.speaker,
                                            version.number, files()));
  auto record = std::make_shared<const VersionRecord>(std::move(fresh));
  std::shared_ptr<const SpeakerIndex> index;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    index = version.index.lock();
  }
  if (index == nullptr || !index->store().Check().ok()) {
    TIMBRE_ASSIGN_OR_RETURN(
        index, SpeakerIndex::Open(record->Describe(version.directory, files()),
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
  TIMBRE_ASSIGN_OR_RETURN(const SpeakerPtr entry, Known(speaker));
  ReadWhatFailed(*entry);
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

absl::StatusOr<std::optional<VersionInfo>> Catalog::FindRequest(
    const std::string& speaker, const std::string& request_id) {
  if (request_id.empty()) return std::nullopt;
  const auto entry = Known(speaker);
  if (absl::IsNotFound(entry.status())) return std::nullopt;
  TIMBRE_RETURN_IF_ERROR(entry.status());
  ReadWhatFailed(**entry);
  if (!FindPublished(**entry, request_id)) return std::nullopt;
  const std::lock_guard<std::mutex> writing((*entry)->write_mutex);
  TIMBRE_RETURN_IF_ERROR(Settle(**entry));
  return FindPublished(**entry, request_id);
}

std::optional<VersionInfo> Catalog::FindPublished(
    const Speaker& speaker, const std::string& request_id) {
  if (request_id.empty()) return std::nullopt;
  const std::lock_guard<std::mutex> lock(mutex_);
  for (VersionInfo& info : Describe(speaker, false).versions) {
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
      if (lease == nullptr ? absl::IsDataLoss(version->damage)
                           : lease->index->store().damaged()) {
        ++stats.versions_damaged;
      }
    }
    stats.speakers += speaker->versions.empty() ? 0 : 1;
    stats.speakers_loaded += loaded ? 1 : 0;
  }
  return stats;
}

}  // namespace timbre
