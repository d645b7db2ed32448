// The control groups of this process.
#ifndef TIMBRE_SERVER_BASE_CGROUP_H_
#define TIMBRE_SERVER_BASE_CGROUP_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace timbre {

// The directories of the cgroup that /proc/self/cgroup names (`membership`) and
// of those around it, where the hierarchies are mounted: version 2 at `root` or
// root/unified, version 1 of `controller` ("cpu", "memory") at root/controller.
// In a container the mount shows the container's cgroup as its root, under
// whatever name the membership has for it.
void ForEachCgroup(const std::string& membership, const std::string& root,
                   absl::string_view controller,
                   absl::FunctionRef<void(const std::string& directory)> see);

// What the process belongs to; empty where there are none.
std::string CgroupMembership();

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_CGROUP_H_
