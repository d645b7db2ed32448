#include "server/service/rpc/admission.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/monotonic_clock.h"

namespace timbre {
namespace {

// By then a full queue of the default size has been worked off.
constexpr absl::Duration kRetryAfter = absl::Seconds(1);

bool Exceeds(uint64_t before, uint64_t more, uint64_t limit) {
  return limit != 0 && before != 0 && before + more > limit;
}

bool Exceeds(absl::Duration before, absl::Duration more, absl::Duration limit) {
  return before > absl::ZeroDuration() && more > absl::ZeroDuration() &&
         before + more > limit;
}

}  // namespace

absl::StatusOr<Admission::Ticket> Admission::Enter(AdmissionLoad load) {
  // One slow message is one worker's, and does not shut out all others.
  load.work = std::min(load.work, limits_.work / 2);
  last_ns_.store(absl::ToUnixNanos(MonotonicNow()), std::memory_order_relaxed);
  const uint64_t frames_before = frames_.fetch_add(load.frames);
  const uint64_t bytes_before = bytes_.fetch_add(load.bytes);
  const absl::Duration work_before = absl::Nanoseconds(
      work_ns_.fetch_add(absl::ToInt64Nanoseconds(load.work)));
  // From here on it is the ticket that gives them back.
  Ticket ticket(this, load);
  if (!Exceeds(frames_before, load.frames, limits_.frames) &&
      !Exceeds(bytes_before, load.bytes, limits_.bytes) &&
      !Exceeds(work_before, load.work, limits_.work)) {
    return ticket;
  }
  return MakeRetryableError(
      absl::StatusCode::kResourceExhausted, "OVERLOADED",
      absl::StrCat("the server is busy: about ", frames_before, " frames in ",
                   bytes_before, " bytes wait already, ",
                   absl::FormatDuration(work_before),
                   " of work; --max_queued_frames=", limits_.frames,
                   ", --max_queued_bytes=", limits_.bytes,
                   ", --max_queued_time; try again"),
      kRetryAfter);
}

void Admission::Learn(absl::Duration frame_time) {
  if (frame_time <= absl::ZeroDuration()) return;  // too short for the clock
  // A lost update does no harm.
  const int64_t before = frame_time_ns_.load(std::memory_order_relaxed);
  const int64_t now = absl::ToInt64Nanoseconds(frame_time);
  frame_time_ns_.store(before + (now - before) / 8, std::memory_order_relaxed);
}

void Admission::Leave(const AdmissionLoad& load) {
  frames_.fetch_sub(load.frames);
  bytes_.fetch_sub(load.bytes);
  work_ns_.fetch_sub(absl::ToInt64Nanoseconds(load.work));
}

}  // namespace timbre
