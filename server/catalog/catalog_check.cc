// Comparing what is stored with what was published. Who reads and compares runs
// at the lowest priority and shares no lock with others (NextVersion and
// Conclude are for whoever it hands over to).
#include <algorithm>
#include <utility>

#include "server/base/log.h"
#include "server/base/monotonic_clock.h"
#include "server/base/status_macros.h"
#include "server/catalog/catalog.h"
#include "server/catalog/store/stored_files.h"

namespace timbre {
namespace {

uint64_t BytesOf(const VersionEntry& version) {
  const VersionLife::View view = version.life->Look();
  return view.record == nullptr ? 0 : view.record->bytes_on_disk();
}

// The one after `after`; null: none.
VersionPtr NextIn(const SpeakerEntry& speaker, uint64_t after) {
  const MutexLock lock(speaker.mutex);
  const auto it = speaker.versions.upper_bound(after);
  return it == speaker.versions.end() ? nullptr : it->second;
}

}  // namespace

std::optional<StoredVersion> Catalog::NextVersion(const std::string& speaker,
                                                  uint64_t version) {
  VersionPtr next;
  {
    const MutexLock lock(mutex_);
    for (auto it = speakers_.lower_bound(speaker);
         it != speakers_.end() && next == nullptr; ++it) {
      next = NextIn(*it->second, it->first == speaker ? version : 0);
    }
  }
  if (next == nullptr) return std::nullopt;
  return StoredVersion{.speaker = next->speaker,
                       .version = next->number,
                       .directory = next->directory,
                       .bytes = BytesOf(*next)};
}

std::vector<VersionPtr> Catalog::VersionsOf(const std::string& speaker) {
  std::vector<SpeakerPtr> speakers;
  {
    const MutexLock lock(mutex_);
    for (const auto& [name, entry] : speakers_) {
      if (speaker.empty() || name == speaker) speakers.push_back(entry);
    }
  }
  std::vector<VersionPtr> versions;
  for (const SpeakerPtr& entry : speakers) {
    const MutexLock lock(entry->mutex);
    for (const auto& [number, version] : entry->versions) {
      versions.push_back(version);
    }
  }
  return versions;
}

uint64_t Catalog::StoredBytes(const std::string& speaker) {
  uint64_t bytes = 0;
  for (const VersionPtr& version : VersionsOf(speaker)) {
    bytes += BytesOf(*version);
  }
  return bytes;
}

CheckStats Catalog::LookAtChecks(absl::Time now) {
  CheckStats stats{.bytes = compared_bytes_.load(),
                   .damaged = found_damaged_.load()};
  absl::Time oldest = now;
  for (const VersionPtr& version : VersionsOf("")) {
    oldest = std::min(oldest, version->check->compared());
  }
  stats.oldest_age_seconds = absl::ToDoubleSeconds(now - oldest);
  return stats;
}

std::vector<std::pair<std::string, absl::Status>> Catalog::ReadUnreadable() {
  std::set<std::string> names;
  {
    const MutexLock lock(mutex_);
    names = unreadable_;
  }
  std::vector<std::pair<std::string, absl::Status>> still;
  for (const std::string& name : names) {
    absl::Status status = Known(name).status();
    if (!status.ok()) still.emplace_back(name, std::move(status));
  }
  return still;
}

Comparison Catalog::Compare(const StoredVersion& version,
                            absl::FunctionRef<bool(size_t)> go_on) {
  const auto stamp = StampOfFiles(version.directory, files());
  if (!stamp.ok()) return {.status = stamp.status()};
  const auto count = [&](size_t bytes) {
    compared_bytes_.fetch_add(bytes);
    return comparing_.load() && go_on(bytes);
  };
  const auto compare = [&]() -> absl::Status {
    TIMBRE_ASSIGN_OR_RETURN(
        const VersionRecord record,
        ReadVersionRecord(version.directory, version.speaker, version.version,
                          files()));
    return CheckStoredFiles(version.directory, record.manifest, files(), count);
  };
  return {.status = compare(), .stamp = *stamp};
}

absl::Status Catalog::Conclude(const StoredVersion& version,
                               const Comparison& found, absl::Time now) {
  if (absl::IsDataLoss(found.status)) {
    return SayDamaged(version.speaker, version.version, found, now);
  }
  const SpeakerPtr speaker = Find(version.speaker);
  if (speaker == nullptr) return NoSpeaker(version.speaker);
  TIMBRE_ASSIGN_OR_RETURN(const VersionPtr meant,
                          Resolve(*speaker, version.version));
  if (!found.status.ok()) {
    if (!absl::IsCancelled(found.status)) {
      Log(LogLevel::kWarning, "version_not_compared",
          {{"speaker", version.speaker},
           {"version", version.version},
           {"error", std::string(found.status.message())}});
    }
    return found.status;
  }
  SayWhole(*meant, now);
  // Opened once, so that everybody sees it: also what an opening had found, or
  // a reading of the manifest.
  if (meant->life->Look().damaged) {
    return Acquire(version.speaker, version.version).status();
  }
  return absl::OkStatus();
}

absl::Status Catalog::SayDamaged(const std::string& speaker, uint64_t version,
                                 const Comparison& found, absl::Time now) {
  const SpeakerPtr entry = Find(speaker);
  if (entry == nullptr) return NoSpeaker(speaker);
  // One that is being deleted is not damaged: its files are on their way out.
  const MutexLock writing(entry->write_mutex);
  TIMBRE_ASSIGN_OR_RETURN(const VersionPtr meant, Resolve(*entry, version));
  const bool news = meant->check->SayDamaged(
      {.status = found.status, .stamp = found.stamp}, now);
  meant->life->SayFilesDamaged(found.status);
  if (!news) return found.status;
  found_damaged_.fetch_add(1);
  Log(LogLevel::kError, "version_damaged",
      {{"speaker", speaker},
       {"version", version},
       {"error", std::string(found.status.message())}});
  return found.status;
}

void Catalog::SayWhole(const VersionEntry& version, absl::Time now) {
  if (!version.check->SayWhole(now)) return;
  Log(LogLevel::kInfo, "version_whole_again",
      {{"speaker", version.speaker}, {"version", version.number}});
}

absl::Status Catalog::CheckFoundDamage(const VersionEntry& version) {
  const auto damage = version.check->damage();
  if (!damage) return absl::OkStatus();
  TIMBRE_ASSIGN_OR_RETURN(const uint64_t stamp,
                          StampOfFiles(version.directory, files()));
  if (stamp == damage->stamp) return damage->status;
  // Somebody has changed them since: perhaps they are restored.
  const Comparison found = Compare({.speaker = version.speaker,
                                    .version = version.number,
                                    .directory = version.directory},
                                   [](size_t) { return true; });
  if (found.status.ok()) {
    SayWhole(version, MonotonicNow());
  } else if (absl::IsDataLoss(found.status)) {
    version.check->SayDamaged({.status = found.status, .stamp = found.stamp},
                              MonotonicNow());
  }
  return found.status;
}

absl::Status Catalog::CheckNoneFoundMeanwhile(const VersionEntry& version) {
  const auto damage = version.check->damage();
  if (!damage) return absl::OkStatus();
  version.life->SayFilesDamaged(damage->status);
  return damage->status;
}

}  // namespace timbre
