// What a voice that is used for the first time lacks to be as fast as it will
// be: its frames in memory, and mapped. Else searches map them, by a page fault
// for every 64 KB that they are the first to touch: some 40 of them for 16
// frames of a voice of 100,000, half a millisecond on a nested virtual machine.
#ifndef TIMBRE_SERVER_CATALOG_OPEN_WARM_UP_H_
#define TIMBRE_SERVER_CATALOG_OPEN_WARM_UP_H_

#include <cstddef>
#include <functional>

#include "server/base/thread_pool.h"
#include "server/catalog/open/lease.h"

namespace timbre {

// Of a voice, before its first answer: all frames of most, and no more than a
// tenth of a second of a disk's time for a voice that is used once.
inline constexpr size_t kReadAheadBytes = size_t{64} << 20;
// Of a voice in all: two million frames of 256 numbers. More would push others
// out of the memory of a small node.
inline constexpr size_t kMaxWarmedBytes = size_t{1} << 30;

// Reads and maps the first kReadAheadBytes, as far as nobody has, or until
// `gone` says that nobody waits for it any more.
void ReadAheadFrames(const LoadedVersion& version,
                     const std::function<bool()>& gone);

// Whether that was done.
bool IsReadAhead(const LoadedVersion& version);

// A stream has begun to use `version`, or uses it long since. From the second
// such use on, while the version is open, threads of `pool` map the rest, a
// huge page at a time in turn with other voices. Returns at once; holds no
// lease meanwhile.
void WarmUp(ThreadPool& pool, const LoadedVersion& version);

// Whether all of it was mapped that these map: a search of its frames waits for
// no disk, unless the kernel has dropped pages meanwhile.
bool IsWarm(const LoadedVersion& version);

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_OPEN_WARM_UP_H_
