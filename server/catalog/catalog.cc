#include "server/catalog/catalog.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/catalog/records/voice_errors.h"

namespace timbre {

Catalog::Catalog(CatalogOptions options, std::unique_ptr<DirectoryStore> store)
    : options_(std::move(options)), store_(std::move(store)) {
  open_->budget = std::make_shared<MemoryBudget>(options_.budget);
  open_->reaper = std::make_shared<ThreadPool>("reaper", 1);
}

Catalog::~Catalog() {
  std::map<absl::string_view, SpeakerPtr> speakers;
  {
    const MutexLock lock(mutex_);
    listed_.clear();
    speakers.swap(speakers_);
  }
  open_->budget->Stop();
  speakers.clear();
  open_->reaper->Stop();
}

SpeakerPtr Catalog::Find(const std::string& speaker) {
  const MutexLock lock(mutex_);
  const auto it = speakers_.find(speaker);
  return it == speakers_.end() ? nullptr : it->second;
}

SpeakerPtr Catalog::FindOrAdd(const std::string& speaker) {
  const MutexLock lock(mutex_);
  const auto it = speakers_.find(speaker);
  if (it != speakers_.end()) return it->second;
  auto entry = std::make_shared<SpeakerEntry>(store_->New(speaker), open_);
  speakers_.emplace(entry->name, entry);
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

absl::StatusOr<VersionEntry> Catalog::Resolve(const SpeakerEntry& speaker,
                                              uint64_t version) {
  const MutexLock lock(speaker.mutex);
  if (speaker.versions.empty()) return NoSpeaker(speaker.name);
  const uint64_t wanted = version != 0 ? version : speaker.active_version;
  if (wanted == 0) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "NO_ACTIVE_VERSION",
                     absl::StrCat("version: voice \"", speaker.name,
                                  "\" has no active version; name one or "
                                  "activate one"));
  }
  const auto it = speaker.versions.find(wanted);
  if (it == speaker.versions.end()) return NoVersion(speaker.name, wanted);
  return VersionEntry{it->first, it->second};
}

void Catalog::Adopt(SpeakerEntry& speaker, const VersionEntry& added) {
  const VoiceView view = speaker.voice->View();
  std::map<uint64_t, LifePtr> before;  // goes without the lock
  const MutexLock lock(speaker.mutex);
  before.swap(speaker.versions);
  if (added.life != nullptr) before[added.number] = added.life;
  speaker.active_version = view.active_version;
  speaker.deletions = view.deletions;
  for (const uint64_t number : view.versions) {
    LifePtr& life = speaker.versions[number];
    life = before[number];
    if (life == nullptr) life = std::make_shared<VersionLife>(speaker.open);
    // The active version stays open, the others only while they are held.
    life->KeepOpen(number == view.active_version);
  }
}

void Catalog::UpdateListed(const SpeakerPtr& speaker) {
  const MutexLock lock(mutex_);
  const MutexLock speaker_lock(speaker->mutex);
  if (speaker->versions.empty()) {
    listed_.erase(speaker->name);
  } else {
    listed_.emplace(speaker->name, speaker);
  }
}

CatalogStats Catalog::Stats() {
  CatalogStats stats{
      .speakers_loaded = static_cast<uint64_t>(open_->voices.load()),
      .versions_damaged = static_cast<uint64_t>(open_->damaged.load()),
      .budget = open_->budget->totals()};
  const MutexLock lock(mutex_);
  stats.speakers = listed_.size();
  return stats;
}

}  // namespace timbre
