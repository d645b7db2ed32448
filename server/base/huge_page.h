#ifndef TIMBRE_SERVER_BASE_HUGE_PAGE_H_
#define TIMBRE_SERVER_BASE_HUGE_PAGE_H_

#include <cstddef>

namespace timbre {

// Of x86-64, and of arm64 with pages of 4 KB.
inline constexpr size_t kHugePageBytes = size_t{2} << 20;

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_HUGE_PAGE_H_
