// What the catalogue holds of a speaker: for catalog.h alone. A server has a
// hundred thousand of them: a few hundred bytes each, and no document.
#ifndef TIMBRE_SERVER_CATALOG_SPEAKER_ENTRY_H_
#define TIMBRE_SERVER_CATALOG_SPEAKER_ENTRY_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "server/base/mutex.h"
#include "server/catalog/open/file_check.h"
#include "server/catalog/open/version_life.h"
#include "server/catalog/store/voice_store.h"

namespace timbre {

using LifePtr = std::shared_ptr<VersionLife>;

struct VersionEntry {
  uint64_t number = 0;
  LifePtr life;
};

struct SpeakerEntry {
  SpeakerEntry(std::unique_ptr<StoredVoice> stored,
               std::shared_ptr<OpenVersions> open_versions)
      : voice(std::move(stored)),
        name(voice->name()),
        open(std::make_shared<OpenVoice>()) {
    open->all = std::move(open_versions);
  }

  // What changes it, and View, are for who holds write_mutex.
  const std::unique_ptr<StoredVoice> voice;
  const std::string& name;
  const std::shared_ptr<OpenVoice> open;

  // One writer at a time; held across disk operations. Taken before `mutex`.
  Mutex write_mutex;

  // Held for moments. What it guards is what `voice` said after the last
  // change, and is changed only by who holds write_mutex too.
  mutable Mutex mutex;
  uint64_t active_version ABSL_GUARDED_BY(mutex) = 0;
  uint64_t deletions ABSL_GUARDED_BY(mutex) = 0;
  std::map<uint64_t, LifePtr> versions ABSL_GUARDED_BY(mutex);
};
using SpeakerPtr = std::shared_ptr<SpeakerEntry>;

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_SPEAKER_ENTRY_H_
