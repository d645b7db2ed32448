#include "server/catalog/catalog.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"

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
      reaper_(std::make_shared<ThreadPool>("reaper", 1)),
      remover_("remover", 1) {}

Catalog::~Catalog() {
  std::map<std::string, SpeakerPtr> speakers;
  {
    const MutexLock lock(mutex_);
    speakers.swap(speakers_);
  }
  speakers.clear();
  reaper_->Stop();
  remover_.Stop();
}

SpeakerPtr Catalog::Find(const std::string& speaker) {
  const MutexLock lock(mutex_);
  const auto it = speakers_.find(speaker);
  return it == speakers_.end() ? nullptr : it->second;
}

SpeakerPtr Catalog::FindOrAdd(const std::string& speaker) {
  const MutexLock lock(mutex_);
  SpeakerPtr& entry = speakers_[speaker];
  if (entry == nullptr) entry = std::make_shared<SpeakerEntry>(speaker);
  return entry;
}

absl::StatusOr<SpeakerPtr> Catalog::Known(const std::string& speaker) {
  {
    const MutexLock lock(mutex_);
    const auto it = speakers_.find(speaker);
    if (it != speakers_.end()) return it->second;
    if (!unreadable_.contains(speaker)) return NoSpeaker(speaker);
  }
  const MutexLock recovering(recover_mutex_);
  if (SpeakerPtr entry = Find(speaker); entry != nullptr) return entry;
  if (const auto status = RecoverSpeaker(speaker); !status.ok()) {
    return Annotate(status, absl::StrCat("voice \"", speaker, "\""));
  }
  const MutexLock lock(mutex_);
  unreadable_.erase(speaker);
  return speakers_.at(speaker);
}

absl::StatusOr<VersionPtr> Catalog::Resolve(const SpeakerEntry& speaker,
                                            uint64_t version) {
  const MutexLock lock(speaker.mutex);
  if (speaker.versions.empty()) return NoSpeaker(speaker.name);
  const uint64_t wanted =
      version != 0 ? version : speaker.state.active_version();
  if (wanted == 0) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "NO_ACTIVE_VERSION",
                     absl::StrCat("version: voice \"", speaker.name,
                                  "\" has no active version; name one or "
                                  "activate one"));
  }
  const auto it = speaker.versions.find(wanted);
  if (it == speaker.versions.end()) return NoVersion(speaker.name, wanted);
  return it->second;
}

Lease Catalog::FindLoaded(const std::string& speaker, uint64_t version) {
  const SpeakerPtr entry = Find(speaker);
  if (entry == nullptr) return nullptr;
  const auto found = Resolve(*entry, version);
  return found.ok() ? (*found)->life->Find() : nullptr;
}

absl::StatusOr<Lease> Catalog::Acquire(const std::string& speaker,
                                       uint64_t version) {
  TIMBRE_ASSIGN_OR_RETURN(const SpeakerPtr entry, Known(speaker));
  while (true) {
    TIMBRE_ASSIGN_OR_RETURN(const VersionPtr found, Resolve(*entry, version));
    if (Lease lease = found->life->Find();
        lease != nullptr && lease->index->store().Check().ok()) {
      return lease;
    }
    auto loaded = Load(*entry, *found);
    if (loaded.ok()) return loaded;
    // It may be in the middle of being deleted, or another one have become
    // active: only a version that is still meant then is damaged.
    {
      const MutexLock writing(entry->write_mutex);
      TIMBRE_ASSIGN_OR_RETURN(const VersionPtr meant, Resolve(*entry, version));
      if (meant != found) continue;
      // What only failed to be read is tried again by the next one.
      if (absl::IsDataLoss(loaded.status())) {
        found->life->SayDamaged(loaded.status());
      }
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
  const MutexLock writing(entry->write_mutex);
  TIMBRE_RETURN_IF_ERROR(Resolve(*entry, manifest.version()).status());
  return status;
}

absl::StatusOr<Lease> Catalog::Load(SpeakerEntry& speaker,
                                    const VersionEntry& version) {
  TIMBRE_ASSIGN_OR_RETURN(
      Lease lease,
      version.life->Open([&]() -> absl::StatusOr<VersionLife::Read> {
        TIMBRE_RETURN_IF_ERROR(CheckFoundDamage(version));
        // Read again rather than trusted from start: a repaired version serves
        // without a restart.
        TIMBRE_ASSIGN_OR_RETURN(VersionRecord record,
                                ReadRecord(version.speaker, version.number));
        TIMBRE_ASSIGN_OR_RETURN(
            std::unique_ptr<const SpeakerIndex> index,
            SpeakerIndex::Open(record.Describe(version.directory, files()),
                               *options_.kernels));
        return VersionLife::Read{
            std::make_shared<const VersionRecord>(std::move(record)),
            std::move(index)};
      }));
  TIMBRE_RETURN_IF_ERROR(CheckNoneFoundMeanwhile(version));
  const MutexLock lock(speaker.mutex);
  if (speaker.state.active_version() == version.number) {
    version.life->KeepOpen(true);
  }
  return lease;
}

SpeakerInfo Catalog::Describe(const SpeakerEntry& speaker, bool active_only) {
  const MutexLock lock(speaker.mutex);
  return DescribeLocked(speaker, active_only);
}

SpeakerInfo Catalog::DescribeLocked(const SpeakerEntry& speaker,
                                    bool active_only) {
  SpeakerInfo info{.speaker = speaker.name,
                   .active_version = speaker.state.active_version(),
                   .versions = {}};
  for (const auto& [number, version] : speaker.versions) {
    const bool active = number == info.active_version;
    if (active_only && !active) continue;
    VersionLife::View view = version->life->Look();
    const bool open = view.state == VersionLife::State::kOpen && !view.damaged;
    info.versions.push_back({.version = number,
                             .record = std::move(view.record),
                             .damage = std::move(view.damage),
                             .active = active,
                             .loaded = open});
  }
  return info;
}

absl::StatusOr<SpeakerInfo> Catalog::DescribeAll(const SpeakerEntry& speaker) {
  SpeakerInfo info = Describe(speaker, false);
  if (info.versions.empty()) return NoSpeaker(speaker.name);
  return info;
}

absl::StatusOr<SpeakerInfo> Catalog::GetSpeaker(const std::string& speaker) {
  TIMBRE_ASSIGN_OR_RETURN(const SpeakerPtr entry, Known(speaker));
  ReadWhatFailed(*entry);
  return DescribeAll(*entry);
}

std::vector<SpeakerInfo> Catalog::List(absl::string_view prefix,
                                       absl::string_view after, size_t limit) {
  const MutexLock lock(mutex_);
  std::vector<SpeakerInfo> infos;
  auto it = after < prefix ? speakers_.lower_bound(std::string(prefix))
                           : speakers_.upper_bound(std::string(after));
  for (; it != speakers_.end() && infos.size() < limit; ++it) {
    if (!absl::StartsWith(it->first, prefix)) break;
    const SpeakerEntry& speaker = *it->second;
    const MutexLock speaker_lock(speaker.mutex);
    if (speaker.versions.empty()) continue;
    infos.push_back(DescribeLocked(speaker, true));
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
  const MutexLock writing((*entry)->write_mutex);
  TIMBRE_RETURN_IF_ERROR(Settle(**entry));
  return FindPublished(**entry, request_id);
}

std::optional<VersionInfo> Catalog::FindPublished(
    const SpeakerEntry& speaker, const std::string& request_id) {
  if (request_id.empty()) return std::nullopt;
  for (VersionInfo& info : Describe(speaker, false).versions) {
    if (info.record != nullptr &&
        info.record->manifest.request_id() == request_id) {
      return std::move(info);
    }
  }
  return std::nullopt;
}

CatalogStats Catalog::Stats() {
  const MutexLock lock(mutex_);
  CatalogStats stats;
  for (const auto& [name, speaker] : speakers_) {
    bool loaded = false;
    const MutexLock speaker_lock(speaker->mutex);
    for (const auto& [number, version] : speaker->versions) {
      const VersionLife::View view = version->life->Look();
      // Beside streams that hold damaged frames it may be opening anew.
      loaded = loaded || view.resident_bytes > 0 ||
               view.state == VersionLife::State::kOpen;
      stats.bytes_resident += view.resident_bytes;
      stats.versions_damaged += view.damaged ? 1 : 0;
    }
    stats.speakers += speaker->versions.empty() ? 0 : 1;
    stats.speakers_loaded += loaded ? 1 : 0;
  }
  return stats;
}

}  // namespace timbre
