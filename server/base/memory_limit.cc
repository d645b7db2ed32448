#include "server/base/memory_limit.h"

#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/base/cgroup.h"
#include "server/base/file_system.h"
#include "server/base/monotonic_clock.h"

namespace timbre {
namespace {

// Linux's default.
constexpr uint64_t kDefaultMappings = 65530;

// One part of so many.
constexpr uint64_t kLeastFree = 10;

constexpr absl::Duration kLookAgainAfter = absl::Milliseconds(20);

// `otherwise` where there is no such file, or no number in it ("max").
uint64_t NumberIn(const std::string& path, uint64_t otherwise) {
  uint64_t number = 0;
  const std::string text = ReadFile(path).value_or("");
  return absl::SimpleAtoi(absl::StripAsciiWhitespace(text), &number)
             ? number
             : otherwise;
}

// 0: less than a tenth.
uint64_t FreeOf(uint64_t all, uint64_t free) {
  return free < all / kLeastFree ? 0 : free;
}

}  // namespace

uint64_t CgroupMemoryLimit(const std::string& membership,
                           const std::string& root) {
  uint64_t least = UINT64_MAX;
  ForEachCgroup(membership, root, "memory", [&](const std::string& directory) {
    for (const char* const file : {"memory.max", "memory.limit_in_bytes"}) {
      least = std::min(
          least, NumberIn(absl::StrCat(directory, "/", file), UINT64_MAX));
    }
  });
  return least;
}

uint64_t AvailableMemory() {
  const uint64_t machine = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) *
                           static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return std::min(machine,
                  CgroupMemoryLimit(CgroupMembership(), "/sys/fs/cgroup"));
}

uint64_t CgroupFreeMemory(const std::string& membership,
                          const std::string& root) {
  uint64_t least = UINT64_MAX;
  ForEachCgroup(membership, root, "memory", [&](const std::string& directory) {
    for (const auto& [most, now] :
         {std::pair("memory.max", "memory.current"),
          std::pair("memory.limit_in_bytes", "memory.usage_in_bytes")}) {
      const uint64_t limit =
          NumberIn(absl::StrCat(directory, "/", most), UINT64_MAX);
      if (limit == UINT64_MAX) continue;
      const uint64_t used = NumberIn(absl::StrCat(directory, "/", now), 0);
      least = std::min(least, FreeOf(limit, limit - std::min(used, limit)));
    }
  });
  return least;
}

bool MemoryIsFull(uint64_t bytes) {
  // Asked for each of hundreds of voices that close in a second.
  static std::atomic<int64_t> looked{INT64_MIN / 2};
  static std::atomic<uint64_t> least{UINT64_MAX};
  const int64_t now = absl::ToUnixNanos(MonotonicNow());
  if (now - looked.load() > absl::ToInt64Nanoseconds(kLookAgainAfter)) {
    looked.store(now);
    struct sysinfo machine {};
    const bool known = sysinfo(&machine) == 0;
    least.store(
        std::min(known ? FreeOf(machine.totalram, machine.freeram) : UINT64_MAX,
                 CgroupFreeMemory(CgroupMembership(), "/sys/fs/cgroup")));
  }
  return least.load() <= bytes;
}

uint64_t MaxMappings() {
  return NumberIn("/proc/sys/vm/max_map_count", kDefaultMappings);
}

}  // namespace timbre
