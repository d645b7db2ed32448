// Who gets room among open versions: the rules alone.
#ifndef TIMBRE_SERVER_CATALOG_OPEN_BUDGET_RULES_H_
#define TIMBRE_SERVER_CATALOG_OPEN_BUDGET_RULES_H_

#include <cstdint>

#include "absl/status/status.h"

namespace timbre {

// What open versions take.
struct OpenRoom {
  uint64_t bytes = 0;  // besides mapped pages
  uint64_t maps = 0;   // mappings, of which a process may have so many

  OpenRoom& operator+=(const OpenRoom& other);
  OpenRoom& operator-=(const OpenRoom& other);
  friend OpenRoom operator+(OpenRoom a, const OpenRoom& b) { return a += b; }
};

// Of a charge; see memory_budget.h.
enum class ChargeState : uint8_t { kReserved, kHeld, kIdle, kClosing };

struct RoomUsed {
  OpenRoom reserved;
  OpenRoom held;     // by streams
  OpenRoom visited;  // held for a moment alone; see MemoryBudget::Visit
  OpenRoom idle;
  OpenRoom closing;
};

enum class Verdict : uint8_t {
  kGrant,
  kClose,   // some that are idle
  kWait,    // for closings, openings and visits under way
  kRefuse,  // streams hold too much
  kNever,   // more than the limit
};

// Whether `want` fits into `limit` (zeros: none) beside what is used. Pure.
Verdict Judge(const OpenRoom& limit, const RoomUsed& used,
              const OpenRoom& want);

// What whoever wants it is told: kRefuse, while streams hold `held`; kNever.
// RESOURCE_EXHAUSTED MEMORY_BUDGET, with a retry hint, and VERSION_TOO_LARGE.
absl::Status NoRoom(const OpenRoom& limit, const OpenRoom& held,
                    const OpenRoom& want);
absl::Status TooLarge(const OpenRoom& limit, const OpenRoom& want);

// Whether a version comes back so soon, `openings` after its last use, that
// half as much room again as that of the `open` ones would have kept it. Pure.
bool IsSoon(uint64_t openings, uint64_t open);

// Whether versions that were used again and again, and take `room` together,
// leave just enough for others to come and go. Pure.
bool IsFullOfHot(const OpenRoom& limit, const OpenRoom& room);

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_OPEN_BUDGET_RULES_H_
