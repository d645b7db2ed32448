#include "server/catalog/open/warm_up.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "server/base/huge_page.h"
#include "server/base/mapped_file.h"

namespace timbre {
namespace {

const MappedFile& FileOf(const LoadedVersion& version) {
  return version.index->store().file();
}

// From `offset` to `end`; a version that nobody holds any more is left alone.
void Prefault(ThreadPool& pool, std::weak_ptr<const LoadedVersion> version,
              size_t offset, size_t end) {
  pool.Submit([&pool, version = std::move(version), offset, end]() mutable {
    const Lease lease = version.lock();
    if (lease == nullptr) return;
    const MappedFile& file = FileOf(*lease);
    if (offset >= std::min({end, file.size(), kMaxWarmedBytes})) return;
    file.Prefault(offset, kHugePageBytes);
    file.SayWarm(offset + kHugePageBytes);
    Prefault(pool, std::move(version), offset + kHugePageBytes, end);
  });
}

}  // namespace

void ReadAheadFrames(const LoadedVersion& version) {
  const MappedFile& file = FileOf(version);
  if (file.warm_bytes() > 0) return;
  const size_t end = std::min(file.size(), kReadAheadBytes);
  for (size_t offset = 0; offset < end; offset += kHugePageBytes) {
    file.Prefault(offset, kHugePageBytes);
  }
  file.SayWarm(end);
}

void WarmUp(ThreadPool& pool, const Lease& lease) {
  const MappedFile& file = FileOf(*lease);
  const uint32_t uses = file.CountUse();
  if (uses > 2) return;
  if (uses == 1 && file.warm_bytes() == 0) {
    Prefault(pool, lease, 0, kReadAheadBytes);
  }
  if (uses == 2 && file.size() > kReadAheadBytes) {
    Prefault(pool, lease, kReadAheadBytes, kMaxWarmedBytes);
  }
}

bool IsWarm(const LoadedVersion& version) {
  const MappedFile& file = FileOf(version);
  return file.warm_bytes() >= std::min(file.size(), kMaxWarmedBytes);
}

}  // namespace timbre
