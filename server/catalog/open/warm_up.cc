#include "server/catalog/open/warm_up.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "server/base/mapped_file.h"

namespace timbre {
namespace {

const MappedFile& FileOf(const LoadedVersion& version) {
  return version.index->store().file();
}

bool IsWarmTo(const MappedFile& file, size_t bytes) {
  return file.warm_bytes() >= std::min(file.size(), bytes);
}

// What a task of a pool knows of a version: it holds the map of its frames for
// as long as a huge page takes, which counts for nothing, and not the version.
struct Warming {
  std::weak_ptr<const SpeakerIndex> held;
  std::weak_ptr<const MappedFile> file;
};

void WarmOn(ThreadPool& pool, Warming warming) {
  pool.Submit([&pool, warming = std::move(warming)]() mutable {
    const auto file = warming.file.lock();
    if (file == nullptr) return;
    if (warming.held.expired() || IsWarmTo(*file, kMaxWarmedBytes)) {
      return file->StopWarming();
    }
    file->WarmOn();
    WarmOn(pool, std::move(warming));
  });
}

}  // namespace

void ReadAheadFrames(const LoadedVersion& version,
                     const std::function<bool()>& gone) {
  const MappedFile& file = FileOf(version);
  while (!IsWarmTo(file, kReadAheadBytes) && !gone()) file.WarmOn();
}

bool IsReadAhead(const LoadedVersion& version) {
  return IsWarmTo(FileOf(version), kReadAheadBytes);
}

void WarmUp(ThreadPool& pool, const Lease& lease) {
  const MappedFile& file = FileOf(*lease);
  if (file.CountUse() < 2 || IsWarm(*lease) || !file.StartWarming()) return;
  WarmOn(pool,
         {.held = lease->index, .file = lease->index->store().shared_file()});
}

bool IsWarm(const LoadedVersion& version) {
  return IsWarmTo(FileOf(version), kMaxWarmedBytes);
}

}  // namespace timbre
