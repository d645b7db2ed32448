// What a voice that was just opened lacks to be as fast as it will be.
#ifndef TIMBRE_SERVER_SERVICE_WARM_UP_H_
#define TIMBRE_SERVER_SERVICE_WARM_UP_H_

#include <cstdint>

#include "server/base/thread_pool.h"
#include "server/catalog/lease.h"

namespace timbre {

// Maps the frames of `lease` on threads of `io`, a megabyte at a time, behind
// the tasks that wait there: else searches do, by a page fault for every 64 KB
// that they are the first to touch (some 40 of them for 16 frames of a voice of
// 100,000: half a millisecond on a nested virtual machine). Returns at once;
// holds the lease until it is done.
void WarmUp(ThreadPool& io, Lease lease, uint64_t first_row = 0);

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_WARM_UP_H_
