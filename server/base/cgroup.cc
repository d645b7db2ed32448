#include "server/base/cgroup.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/file_system.h"

namespace timbre {
namespace {

// Of mount + path and all around it.
void ForEachAround(const std::string& mount, absl::string_view path,
                   absl::FunctionRef<void(const std::string&)> see) {
  see(mount);
  while (path.size() > 1 && path[0] == '/') {
    see(absl::StrCat(mount, path));
    path = path.substr(0, path.rfind('/'));
  }
}

}  // namespace

void ForEachCgroup(const std::string& membership, const std::string& root,
                   absl::string_view controller,
                   absl::FunctionRef<void(const std::string&)> see) {
  for (const absl::string_view line : absl::StrSplit(membership, '\n')) {
    // "0::/a/b" in version 2, "5:cpu,cpuacct:/a/b" in version 1.
    const std::vector<absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    const std::vector<absl::string_view> controllers =
        absl::StrSplit(parts[1], ',');
    if (parts[1].empty()) {
      ForEachAround(root, parts[2], see);
      ForEachAround(absl::StrCat(root, "/unified"), parts[2], see);
    } else if (std::count(controllers.begin(), controllers.end(), controller) >
               0) {
      ForEachAround(absl::StrCat(root, "/", controller), parts[2], see);
    }
  }
}

std::string CgroupMembership() {
  return ReadFile("/proc/self/cgroup").value_or("");
}

}  // namespace timbre
