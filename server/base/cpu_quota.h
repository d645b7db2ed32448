// How many processors this process may really use.
#ifndef TIMBRE_SERVER_BASE_CPU_QUOTA_H_
#define TIMBRE_SERVER_BASE_CPU_QUOTA_H_

#include <string>

namespace timbre {

// The smaller of the affinity mask and the cgroup's CPU quota (v2 cpu.max or
// v1 cpu.cfs_quota_us), rounded up, at least 1. gRPC and OpenMP count the
// host's processors instead, so every pool here is sized by this.
int AvailableCpus();

// The cgroup's quota in processors, 1.5 say; infinity where there is none.
double CpuQuota();

// The quota in cgroup v2's "max 100000" or "150000 100000"; 0: unlimited or
// not understood.
double ParseCpuMax(const std::string& text);

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_CPU_QUOTA_H_
