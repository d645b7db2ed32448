// What a catalogue tells of its voices.
#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/catalog/catalog.h"
#include "server/catalog/records/voice_errors.h"

namespace timbre {
namespace {

// Names that are taken with the catalogue's lock at once: some microseconds.
constexpr size_t kListedAtOnce = 64;

bool IsDamaged(const VersionInfo& info) {
  return absl::IsDataLoss(info.damage);
}

}  // namespace

VersionInfo Catalog::DescribeVersion(const SpeakerEntry& speaker,
                                     const VersionEntry& version, bool active) {
  const VersionLife::View view = version.life->Look();
  VersionInfo info{.version = version.number,
                   .record = view.record,
                   .damage = view.damage,
                   .active = active,
                   .loaded = view.open()};
  if (info.record == nullptr) {
    auto record = speaker.voice->ReadRecord(version.number);
    if (record.ok()) {
      info.record = std::make_shared<const VersionRecord>(*std::move(record));
    } else if (info.damage.ok()) {
      info.damage = record.status();
    }
  }
  // Also of what is open beside the budget, on its publication.
  if (info.record != nullptr) {
    info.fits = open_->budget->Fits(RoomOf(*info.record));
  }
  return info;
}

SpeakerInfo Catalog::Describe(const SpeakerEntry& speaker, bool active_only) {
  SpeakerInfo info{.speaker = speaker.name};
  std::vector<VersionEntry> versions;
  {
    const MutexLock lock(speaker.mutex);
    info.active_version = speaker.active_version;
    for (const auto& [number, life] : speaker.versions) {
      if (active_only && number != info.active_version) continue;
      versions.push_back({number, life});
    }
  }
  for (const VersionEntry& version : versions) {
    info.versions.push_back(DescribeVersion(
        speaker, version, version.number == info.active_version));
  }
  return info;
}

SpeakerInfo Catalog::DescribeSurely(SpeakerEntry& speaker, bool active_only) {
  SpeakerInfo info = Describe(speaker, active_only);
  if (std::none_of(info.versions.begin(), info.versions.end(), IsDamaged)) {
    return info;
  }
  // Nothing is being deleted now.
  const MutexLock writing(speaker.write_mutex);
  info = Describe(speaker, active_only);
  for (const VersionInfo& version : info.versions) {
    if (!IsDamaged(version)) continue;
    const auto found = Resolve(speaker, version.version);
    if (!found.ok() || !found->life->Look().damage.ok()) continue;
    found->life->SayDamaged(version.damage);
    Log(LogLevel::kError, "version_damaged",
        {{"speaker", speaker.name},
         {"version", version.version},
         {"error", std::string(version.damage.message())}});
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
  SpeakerInfo info = DescribeSurely(*entry, false);
  if (info.versions.empty()) return NoSpeaker(speaker);
  return info;
}

std::vector<SpeakerPtr> Catalog::ListedAfter(absl::string_view prefix,
                                             std::string after, size_t limit) {
  std::vector<SpeakerPtr> speakers;
  bool more = true;
  while (more && speakers.size() < limit) {
    const size_t enough = std::min(limit, speakers.size() + kListedAtOnce);
    const MutexLock lock(mutex_);
    auto it = after < prefix ? listed_.lower_bound(prefix)
                             : listed_.upper_bound(after);
    for (; it != listed_.end() && speakers.size() < enough; ++it) {
      if (!absl::StartsWith(it->first, prefix)) break;
      speakers.push_back(it->second);
    }
    more = it != listed_.end() && absl::StartsWith(it->first, prefix);
    if (!speakers.empty()) after = speakers.back()->name;
  }
  return speakers;
}

std::vector<SpeakerInfo> Catalog::List(absl::string_view prefix,
                                       absl::string_view after, size_t limit) {
  std::vector<SpeakerInfo> infos;
  std::string last(after);
  while (infos.size() < limit) {
    const std::vector<SpeakerPtr> speakers =
        ListedAfter(prefix, last, limit - infos.size());
    if (speakers.empty()) break;
    for (const SpeakerPtr& speaker : speakers) {
      SpeakerInfo info = DescribeSurely(*speaker, true);
      const MutexLock lock(speaker->mutex);
      // Not one that was deleted meanwhile.
      if (!speaker->versions.empty()) infos.push_back(std::move(info));
    }
    last = speakers.back()->name;
  }
  return infos;
}

absl::StatusOr<std::optional<VersionInfo>> Catalog::FindRequest(
    const std::string& speaker, const std::string& request_id) {
  if (request_id.empty()) return std::nullopt;
  const auto entry = Known(speaker);
  if (absl::IsNotFound(entry.status())) return std::nullopt;
  TIMBRE_RETURN_IF_ERROR(entry.status());
  TIMBRE_ASSIGN_OR_RETURN(const std::optional<VersionInfo> found,
                          FindPublished(**entry, request_id));
  if (!found) return std::nullopt;
  const MutexLock writing((*entry)->write_mutex);
  TIMBRE_RETURN_IF_ERROR((*entry)->voice->Settle());
  return FindPublished(**entry, request_id);
}

absl::StatusOr<std::optional<VersionInfo>> Catalog::FindPublished(
    const SpeakerEntry& speaker, const std::string& request_id) {
  if (request_id.empty()) return std::nullopt;
  for (VersionInfo& info : Describe(speaker, false).versions) {
    if (info.record == nullptr) {
      // It may be the one, but for a manifest that is lost.
      if (!IsDamaged(info)) return info.damage;
    } else if (info.record->manifest.request_id() == request_id) {
      return std::move(info);
    }
  }
  return std::nullopt;
}

}  // namespace timbre
