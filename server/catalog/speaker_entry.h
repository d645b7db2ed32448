// What the catalogue holds of a speaker: for catalog.h alone.
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

// Constant; its life and its check go on.
struct VersionEntry {
  std::string speaker;
  uint64_t number = 0;
  std::string directory;
  std::shared_ptr<VersionLife> life;
  std::shared_ptr<FileCheck> check;
};
using VersionPtr = std::shared_ptr<const VersionEntry>;

struct SpeakerEntry {
  explicit SpeakerEntry(std::string of) : name(std::move(of)) {}

  const std::string name;

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
  std::map<uint64_t, VersionPtr> versions ABSL_GUARDED_BY(mutex);

  storage::SpeakerState State() const {
    const MutexLock lock(mutex);
    return state;
  }
};
using SpeakerPtr = std::shared_ptr<SpeakerEntry>;

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_SPEAKER_ENTRY_H_
