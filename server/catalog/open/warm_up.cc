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

// The map is held for as long as a huge page takes, which counts for nothing,
// and the version not at all.
void WarmOn(ThreadPool& pool, std::weak_ptr<const MappedFile> warmed) {
  pool.Submit([&pool, warmed = std::move(warmed)]() mutable {
    const auto file = warmed.lock();
    if (file == nullptr || IsWarmTo(*file, kMaxWarmedBytes)) return;
    file->WarmOn();
    WarmOn(pool, std::move(warmed));
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

void WarmUp(ThreadPool& pool, const LoadedVersion& version) {
  const MappedFile& file = FileOf(version);
  if (file.CountUse() < 2 || IsWarm(version) || !file.StartWarming()) return;
  WarmOn(pool, version.index->store().shared_file());
}

bool IsWarm(const LoadedVersion& version) {
  return IsWarmTo(FileOf(version), kMaxWarmedBytes);
}

}  // namespace timbre
