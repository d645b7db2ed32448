// Which versions of a voice stay.
#ifndef TIMBRE_SERVER_CATALOG_RECORDS_RETENTION_H_
#define TIMBRE_SERVER_CATALOG_RECORDS_RETENTION_H_

#include <cstdint>
#include <vector>

namespace timbre {

// Which of `versions` (in increasing order) are surplus where `keep` are to
// stay; 0: all. The oldest, but never the active one (0: none) nor the
// `newest`, which was just published. Pure.
std::vector<uint64_t> SurplusVersions(const std::vector<uint64_t>& versions,
                                      uint64_t active, uint64_t newest,
                                      uint32_t keep);

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_RECORDS_RETENTION_H_
