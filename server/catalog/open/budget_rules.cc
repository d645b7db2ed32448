#include "server/catalog/open/budget_rules.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/base/errors.h"

namespace timbre {
namespace {

// One part of so many of the limit is not for hot versions.
constexpr uint64_t kColdPart = 10;

constexpr absl::Duration kRetryAfter = absl::Seconds(1);

// Amounts of what is short, bytes or mappings, for people to read.
class Shortage {
 public:
  Shortage(const OpenRoom& limit, const OpenRoom& needed)
      : bytes_(limit.bytes != 0 && needed.bytes > limit.bytes), limit_(limit) {}

  std::string Amount(const OpenRoom& room) const {
    return bytes_ ? absl::StrCat(room.bytes, " bytes")
                  : absl::StrCat(room.maps, " mappings");
  }
  std::string Allowed() const {
    return absl::StrCat("the ", Amount(limit_), " that open voices may take (",
                        bytes_ ? "--max_resident_bytes" : "vm.max_map_count",
                        ")");
  }

 private:
  const bool bytes_;
  const OpenRoom limit_;
};

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
  const OpenRoom coming = needed + used.reserved + used.visited;
  if (Fits(coming + used.idle + used.closing, limit)) return Verdict::kGrant;
  if (Fits(coming + used.idle, limit)) return Verdict::kWait;
  if (Fits(coming, limit)) return Verdict::kClose;
  // What is being opened may fail, or rest at once.
  return Fits(needed, limit) ? Verdict::kWait : Verdict::kRefuse;
}

absl::Status NoRoom(const OpenRoom& limit, const OpenRoom& held,
                    const OpenRoom& want) {
  const Shortage shortage(limit, held + want);
  return MakeRetryableError(
      absl::StatusCode::kResourceExhausted, "MEMORY_BUDGET",
      absl::StrCat(shortage.Amount(want), " are needed, but streams hold ",
                   shortage.Amount(held), " of ", shortage.Allowed()),
      kRetryAfter);
}

absl::Status TooLarge(const OpenRoom& limit, const OpenRoom& want) {
  const Shortage shortage(limit, want);
  return MakeError(absl::StatusCode::kResourceExhausted, "VERSION_TOO_LARGE",
                   absl::StrCat(shortage.Amount(want),
                                " are needed, more than ", shortage.Allowed()));
}

bool IsSoon(uint64_t openings, uint64_t open) {
  return openings <= open + open / 2;
}

bool IsFullOfHot(const OpenRoom& limit, const OpenRoom& room) {
  const auto is_full = [](uint64_t most, uint64_t n) {
    return most != 0 && n >= most - (most + kColdPart - 1) / kColdPart;
  };
  return is_full(limit.bytes, room.bytes) || is_full(limit.maps, room.maps);
}

}  // namespace timbre
