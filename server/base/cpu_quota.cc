#include "server/base/cpu_quota.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/cgroup.h"
#include "server/base/file_system.h"

namespace timbre {
namespace {

constexpr double kUnlimited = std::numeric_limits<double>::infinity();

// Empty where there is no such file.
std::string TextOf(const std::string& path) {
  return ReadFile(path).value_or("");
}

// Of one cgroup, whichever version it is of.
double QuotaOf(const std::string& directory) {
  return std::min(ParseCpuMax(TextOf(absl::StrCat(directory, "/cpu.max"))),
                  ParseCpuMax(absl::StrCat(
                      TextOf(absl::StrCat(directory, "/cpu.cfs_quota_us")), " ",
                      TextOf(absl::StrCat(directory, "/cpu.cfs_period_us")))));
}

// The kernel refuses a mask that is shorter than its own.
int CpusOfAffinity() {
  constexpr size_t kMaxCpus = size_t{1} << 20;
  for (size_t size = CPU_SETSIZE; size <= kMaxCpus; size *= 2) {
    std::vector<cpu_set_t> set(size / CPU_SETSIZE);
    const size_t bytes = set.size() * sizeof(cpu_set_t);
    if (sched_getaffinity(0, bytes, set.data()) == 0) {
      return CPU_COUNT_S(bytes, set.data());
    }
  }
  return static_cast<int>(std::thread::hardware_concurrency());
}

}  // namespace

double ParseCpuMax(const std::string& text) {
  const std::vector<std::string> words =
      absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty());
  double quota = 0;
  double period = 0;
  if (words.size() != 2 || !absl::SimpleAtod(words[0], &quota) ||
      !absl::SimpleAtod(words[1], &period) || quota <= 0 || period <= 0 ||
      !std::isfinite(quota)) {
    return kUnlimited;
  }
  return quota / period;
}

double CpuQuota(const std::string& membership, const std::string& root) {
  double least = kUnlimited;
  ForEachCgroup(membership, root, "cpu", [&](const std::string& directory) {
    least = std::min(least, QuotaOf(directory));
  });
  return least;
}

double CpuQuota() { return CpuQuota(CgroupMembership(), "/sys/fs/cgroup"); }

int AvailableCpus() {
  const int cpus = CpusOfAffinity();
  return std::max(
      1, static_cast<int>(std::min<double>(cpus, std::ceil(CpuQuota()))));
}

}  // namespace timbre
