// How many processors this process may really use.
#ifndef TIMBRE_SERVER_BASE_CPU_QUOTA_H_
#define TIMBRE_SERVER_BASE_CPU_QUOTA_H_

#include <string>

namespace timbre {

// The smaller of the affinity mask and the cgroup's CPU quota, rounded up, at
// least 1. gRPC and OpenMP count the host's processors instead, so every pool
// here is sized by this.
int AvailableCpus();

// The least quota in processors, 1.5 say, of this process's cgroup and those
// around it; infinity where there is none.
double CpuQuota();

// The same for what /proc/self/cgroup held (`membership`) and where the
// hierarchies are mounted: cgroup v2's cpu.max at `root` or root/unified, v1's
// cpu.cfs_quota_us at root/cpu. In a container the mount shows the container's
// cgroup as its root, under whatever name the membership has for it.
double CpuQuota(const std::string& membership, const std::string& root);

// The quota in cgroup v2's "max 100000" or "150000 100000"; infinity where it
// is unlimited or not understood.
double ParseCpuMax(const std::string& text);

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_CPU_QUOTA_H_
