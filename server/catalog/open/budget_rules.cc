#include "server/catalog/open/budget_rules.h"

namespace timbre {
namespace {

// Uses of others for each open version until one that was hot is not.
constexpr uint64_t kStaleTurns = 16;

bool Fits(uint64_t used, uint64_t limit) { return limit == 0 || used <= limit; }

bool Fits(const OpenRoom& used, const OpenRoom& limit) {
  return Fits(used.bytes, limit.bytes) && Fits(used.maps, limit.maps);
}

}  // namespace

OpenRoom& OpenRoom::operator+=(const OpenRoom& other) {
  bytes += other.bytes;
  maps += other.maps;
  return *this;
}

OpenRoom& OpenRoom::operator-=(const OpenRoom& other) {
  bytes -= other.bytes;
  maps -= other.maps;
  return *this;
}

Verdict Judge(const OpenRoom& limit, const RoomUsed& used,
              const OpenRoom& want) {
  if (!Fits(want, limit)) return Verdict::kNever;
  const OpenRoom needed = used.held + want;
  const OpenRoom coming = needed + used.reserved;
  if (Fits(coming + used.idle + used.closing, limit)) return Verdict::kGrant;
  if (Fits(coming + used.idle, limit)) return Verdict::kWait;
  if (Fits(coming, limit)) return Verdict::kClose;
  // What is being opened may fail, or rest at once.
  return Fits(needed, limit) ? Verdict::kWait : Verdict::kRefuse;
}

bool IsStale(uint64_t uses, uint64_t open) {
  return uses > kStaleTurns * (open + 1);
}

bool IsSoon(uint64_t closings, uint64_t open) { return closings <= open; }

}  // namespace timbre
