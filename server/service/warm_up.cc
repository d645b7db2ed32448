#include "server/service/warm_up.h"

#include <algorithm>
#include <utility>

namespace timbre {
namespace {

constexpr uint64_t kBytesAtOnce = 1 << 20;

}  // namespace

void WarmUp(ThreadPool& io, Lease lease, uint64_t first_row) {
  io.Submit([&io, lease = std::move(lease), first_row]() mutable {
    const FrameStore& store = lease->index->store();
    const uint64_t rows = kBytesAtOnce / store.row_bytes() + 1;
    const uint64_t end = std::min(first_row + rows, store.rows());
    store.Prefault(first_row, end - first_row);
    if (end < store.rows()) WarmUp(io, std::move(lease), end);
  });
}

}  // namespace timbre
