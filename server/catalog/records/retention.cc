#include "server/catalog/records/retention.h"

namespace timbre {

std::vector<uint64_t> SurplusVersions(const std::vector<uint64_t>& versions,
                                      uint64_t active, uint64_t newest,
                                      uint32_t keep) {
  std::vector<uint64_t> surplus;
  if (keep == 0) return surplus;
  for (const uint64_t version : versions) {
    if (versions.size() - surplus.size() <= keep) break;
    if (version != active && version != newest) surplus.push_back(version);
  }
  return surplus;
}

}  // namespace timbre
