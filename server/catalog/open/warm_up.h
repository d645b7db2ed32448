// What a voice that is used for the first time lacks to be as fast as it will
// be.
#ifndef TIMBRE_SERVER_CATALOG_OPEN_WARM_UP_H_
#define TIMBRE_SERVER_CATALOG_OPEN_WARM_UP_H_

#include <cstddef>

#include "server/base/thread_pool.h"
#include "server/catalog/open/lease.h"

namespace timbre {

// Of a voice: two million frames of 256 numbers. More would push others out of
// the memory of a small node.
inline constexpr size_t kMaxWarmedBytes = size_t{1} << 30;

// Maps the frames of `lease`, once after it was opened, on threads of `pool`, a
// huge page at a time in turn with other voices. Else searches do, by a page
// fault for every 64 KB that they are the first to touch: some 40 of them for
// 16 frames of a voice of 100,000, half a millisecond on a nested virtual
// machine. Returns at once; holds the lease until it is done.
void WarmUp(ThreadPool& pool, const Lease& lease);

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_OPEN_WARM_UP_H_
