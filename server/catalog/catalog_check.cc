// Comparing what is stored with what was published. Who reads and compares runs
// at the lowest priority and shares no lock with others (NextVersion and
// Conclude are for whoever it hands over to).
#include <algorithm>
#include <iterator>
#include <utility>

#include "server/base/log.h"
#include "server/base/monotonic_clock.h"
#include "server/base/status_macros.h"
#include "server/catalog/catalog.h"
#include "server/catalog/records/voice_errors.h"
#include "server/catalog/store/stored_files.h"

namespace timbre {
namespace {

constexpr size_t kLookedAtOnce = 64;

// The first after `after`; null: none.
VersionEntry NextIn(const SpeakerEntry& speaker, uint64_t after) {
  const MutexLock lock(speaker.mutex);
  const auto it = speaker.versions.upper_bound(after);
  return it == speaker.versions.end() ? VersionEntry()
                                      : VersionEntry{it->first, it->second};
}

}  // namespace

StoredVersion Catalog::StoredOf(const SpeakerEntry& speaker,
                                const VersionEntry& version) {
  return {.speaker = speaker.name,
          .version = version.number,
          .directory = speaker.voice->Directory(version.number),
          .findings = version.life->check().findings()};
}

std::optional<StoredVersion> Catalog::NextVersion(const std::string& speaker,
                                                  uint64_t version) {
  const MutexLock lock(mutex_);
  for (auto it = listed_.lower_bound(speaker); it != listed_.end(); ++it) {
    const std::string name(it->first);
    const VersionEntry next =
        NextIn(*it->second, name == speaker ? version : 0);
    if (next.life == nullptr) continue;
    return StoredOf(*it->second, next);
  }
  return std::nullopt;
}

std::string Catalog::AnySpeaker(uint64_t number) {
  const MutexLock lock(mutex_);
  if (listed_.empty()) return "";
  const auto offset = static_cast<std::ptrdiff_t>(number % listed_.size());
  return std::string(std::next(listed_.begin(), offset)->first);
}

uint64_t Catalog::StoredBytes(const std::string& speaker) {
  uint64_t bytes = 0;
  for (auto next = NextVersion(speaker, 0);
       next && (speaker.empty() || next->speaker == speaker);
       next = NextVersion(next->speaker, next->version)) {
    const auto record = ReadVersionRecord(next->directory, next->speaker,
                                          next->version, files());
    if (record.ok()) bytes += record->bytes_on_disk();
  }
  return bytes;
}

CheckStats Catalog::LookAtChecks(absl::Time now) {
  CheckStats stats{.bytes = compared_bytes_.load(),
                   .damaged = found_damaged_.load()};
  absl::Time oldest = now;
  std::string last;
  for (auto some = ListedAfter("", "", kLookedAtOnce); !some.empty();
       some = ListedAfter("", last, kLookedAtOnce)) {
    for (const SpeakerPtr& speaker : some) {
      const MutexLock lock(speaker->mutex);
      for (const auto& [number, life] : speaker->versions) {
        oldest = std::min(oldest, life->check().compared());
      }
    }
    last = some.back()->name;
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
  uint64_t bytes_of_files = 0;
  const auto compare = [&]() -> absl::Status {
    TIMBRE_ASSIGN_OR_RETURN(
        const VersionRecord record,
        ReadVersionRecord(version.directory, version.speaker, version.version,
                          files()));
    bytes_of_files = record.bytes_on_disk();
    return CheckStoredFiles(version.directory, record.manifest, files(), count);
  };
  const absl::Status status = compare();
  return {.status = status, .stamp = *stamp, .bytes = bytes_of_files};
}

absl::Status Catalog::Conclude(const StoredVersion& version,
                               const Comparison& found, absl::Time now) {
  if (absl::IsDataLoss(found.status)) {
    return SayDamaged(version.speaker, version.version, found, now);
  }
  const SpeakerPtr speaker = Find(version.speaker);
  if (speaker == nullptr) return NoSpeaker(version.speaker);
  const MutexLock writing(speaker->write_mutex);
  TIMBRE_ASSIGN_OR_RETURN(const VersionEntry meant,
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
  SayWhole(version, meant, now);
  return absl::OkStatus();
}

absl::Status Catalog::SayDamaged(const std::string& speaker, uint64_t version,
                                 const Comparison& found, absl::Time now) {
  const SpeakerPtr entry = Find(speaker);
  if (entry == nullptr) return NoSpeaker(speaker);
  // One that is being deleted is not damaged: its files are on their way out.
  const MutexLock writing(entry->write_mutex);
  TIMBRE_ASSIGN_OR_RETURN(const VersionEntry meant, Resolve(*entry, version));
  const bool news = meant.life->check().SayDamaged(
      {.status = found.status, .stamp = found.stamp}, now);
  meant.life->SayFilesDamaged(found.status);
  if (!news) return found.status;
  found_damaged_.fetch_add(1);
  Log(LogLevel::kError, "version_damaged",
      {{"speaker", speaker},
       {"version", version},
       {"error", std::string(found.status.message())}});
  return found.status;
}

void Catalog::SayWhole(const StoredVersion& compared,
                       const VersionEntry& version, absl::Time now) {
  const FileCheck::Whole said =
      version.life->check().SayWhole(now, compared.findings);
  if (said == FileCheck::Whole::kStale) return;
  // Also what an opening had found, or a reading of the manifest.
  version.life->SayFilesWhole();
  if (said == FileCheck::Whole::kAsBefore) return;
  Log(LogLevel::kInfo, "version_whole_again",
      {{"speaker", compared.speaker}, {"version", version.number}});
}

absl::Status Catalog::CheckFoundDamage(
    const SpeakerEntry& speaker, const VersionEntry& version,
    const MemoryBudget::Cancelled& cancelled) {
  const StoredVersion stored = StoredOf(speaker, version);
  const auto damage = version.life->check().damage();
  if (!damage) return absl::OkStatus();
  TIMBRE_ASSIGN_OR_RETURN(const uint64_t stamp,
                          StampOfFiles(stored.directory, files()));
  if (stamp == damage->stamp) return damage->status;
  // Somebody has changed them since: perhaps they are restored.
  const Comparison found =
      Compare(stored, [&](size_t) { return !cancelled(); });
  if (found.status.ok()) {
    SayWhole(stored, version, MonotonicNow());
  } else if (absl::IsDataLoss(found.status)) {
    version.life->check().SayDamaged(
        {.status = found.status, .stamp = found.stamp}, MonotonicNow());
  }
  return found.status;
}

}  // namespace timbre
