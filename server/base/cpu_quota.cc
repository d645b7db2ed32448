#include "server/base/cpu_quota.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/file_system.h"

namespace timbre {
namespace {

constexpr char kRoot[] = "/sys/fs/cgroup";

double QuotaV1() {
  const auto quota = ReadFile(absl::StrCat(kRoot, "/cpu/cpu.cfs_quota_us"));
  const auto period = ReadFile(absl::StrCat(kRoot, "/cpu/cpu.cfs_period_us"));
  if (!quota.ok() || !period.ok()) return 0;
  return ParseCpuMax(absl::StrCat(absl::StripAsciiWhitespace(*quota), " ",
                                  absl::StripAsciiWhitespace(*period)));
}

double Quota() {
  const auto unified = ReadFile(absl::StrCat(kRoot, "/cpu.max"));
  return unified.ok() ? ParseCpuMax(*unified) : QuotaV1();
}

}  // namespace

double ParseCpuMax(const std::string& text) {
  const std::vector<std::string> words =
      absl::StrSplit(absl::StripAsciiWhitespace(text), ' ');
  double quota = 0;
  double period = 0;
  if (words.size() != 2 || !absl::SimpleAtod(words[0], &quota) ||
      !absl::SimpleAtod(words[1], &period) || quota <= 0 || period <= 0) {
    return 0;
  }
  return quota / period;
}

double CpuQuota() {
  const double quota = Quota();
  return quota > 0 ? quota : std::numeric_limits<double>::infinity();
}

int AvailableCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int cpus = 1;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) cpus = CPU_COUNT(&set);
  return std::max(
      1, static_cast<int>(std::min<double>(cpus, std::ceil(CpuQuota()))));
}

}  // namespace timbre
