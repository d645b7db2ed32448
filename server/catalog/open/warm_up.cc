#include "server/catalog/open/warm_up.h"

#include <utility>

#include "server/base/huge_page.h"
#include "server/base/mapped_file.h"

namespace timbre {
namespace {

void Prefault(ThreadPool& pool, Lease lease, size_t offset) {
  pool.Submit([&pool, lease = std::move(lease), offset]() mutable {
    const MappedFile& file = lease->index->store().file();
    file.Prefault(offset, kHugePageBytes);
    const size_t next = offset + kHugePageBytes;
    if (next >= file.size() || next >= kMaxWarmedBytes) return;
    Prefault(pool, std::move(lease), next);
  });
}

}  // namespace

void WarmUp(ThreadPool& pool, const Lease& lease) {
  if (lease->index->store().file().FirstUse()) Prefault(pool, lease, 0);
}

}  // namespace timbre
