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
#include "timbre/storage/manifest.pb.h"

namespace timbre {

using LifePtr = std::shared_ptr<VersionLife>;

struct VersionEntry {
  uint64_t number = 0;
  LifePtr life;
};

struct SpeakerEntry {
  SpeakerEntry(std::string of, std::shared_ptr<OpenVersions> open_versions)
      : name(std::move(of)), open(std::make_shared<OpenVoice>()) {
    open->all = std::move(open_versions);
  }

  const std::string name;
  const std::shared_ptr<OpenVoice> open;

  // One writer at a time; held across disk operations. Taken before `mutex`.
  Mutex write_mutex;

  // Held for moments. What it guards is changed only by who holds write_mutex
  // too.
  mutable Mutex mutex;
  storage::SpeakerState state ABSL_GUARDED_BY(mutex);
  // False: an fsync failed after the last change, so that a power cut may take
  // it back. Nothing is acknowledged that relies on it (see Catalog::Settle).
  bool settled ABSL_GUARDED_BY(mutex) = true;
  // The highest version number given to a publication.
  uint64_t reserved ABSL_GUARDED_BY(mutex) = 0;
  uint64_t generation ABSL_GUARDED_BY(mutex) = 0;  // counts DeleteSpeaker
  std::map<uint64_t, LifePtr> versions ABSL_GUARDED_BY(mutex);

  storage::SpeakerState State() const {
    const MutexLock lock(mutex);
    return state;
  }
};
using SpeakerPtr = std::shared_ptr<SpeakerEntry>;

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_SPEAKER_ENTRY_H_
