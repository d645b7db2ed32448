// How much memory this process may have.
#ifndef TIMBRE_SERVER_BASE_MEMORY_LIMIT_H_
#define TIMBRE_SERVER_BASE_MEMORY_LIMIT_H_

#include <cstdint>
#include <string>

namespace timbre {

// The machine's, or the least limit of this process's cgroup and those around
// it, if that is less; in bytes.
uint64_t AvailableMemory();

// The least limit for what /proc/self/cgroup held (see ForEachCgroup):
// memory.max of version 2, memory.limit_in_bytes of version 1; UINT64_MAX where
// there is none.
uint64_t CgroupMemoryLimit(const std::string& membership,
                           const std::string& root);

// Whether memory is full for `bytes` that are read next, page cache included:
// not more than these, or less than a tenth of what the machine or a cgroup
// has, is free. They displace other pages then. Reads some small files of
// cgroups, at most every 20 ms. Thread-safe.
bool MemoryIsFull(uint64_t bytes);

// What is free of the cgroup that has least, page cache not counted; 0 where
// less than a tenth is, UINT64_MAX without a limit. See CgroupMemoryLimit.
uint64_t CgroupFreeMemory(const std::string& membership,
                          const std::string& root);

// How many mappings the kernel allows a process (vm.max_map_count).
uint64_t MaxMappings();

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_MEMORY_LIMIT_H_
