#include "server/service/admission.h"

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"

namespace timbre {
namespace {

// By then a full queue of the default size has been worked off.
constexpr absl::Duration kRetryAfter = absl::Seconds(1);

bool Exceeds(uint64_t before, uint64_t more, uint64_t limit) {
  return limit != 0 && before != 0 && before + more > limit;
}

}  // namespace

absl::StatusOr<Admission::Ticket> Admission::Enter(uint64_t frames,
                                                   uint64_t bytes) {
  last_ns_.store(absl::GetCurrentTimeNanos(), std::memory_order_relaxed);
  const uint64_t frames_before = frames_.fetch_add(frames);
  const uint64_t bytes_before = bytes_.fetch_add(bytes);
  // From here on it is the ticket that gives them back.
  Ticket ticket(this, frames, bytes);
  if (!Exceeds(frames_before, frames, limits_.frames) &&
      !Exceeds(bytes_before, bytes, limits_.bytes)) {
    return ticket;
  }
  return MakeRetryableError(
      absl::StatusCode::kResourceExhausted, "OVERLOADED",
      absl::StrCat("the server is busy: about ", frames_before, " frames in ",
                   bytes_before,
                   " bytes wait already; --max_queued_frames=", limits_.frames,
                   ", --max_queued_bytes=", limits_.bytes, "; try again"),
      kRetryAfter);
}

void Admission::Leave(uint64_t frames, uint64_t bytes) {
  frames_.fetch_sub(frames);
  bytes_.fetch_sub(bytes);
}

}  // namespace timbre
