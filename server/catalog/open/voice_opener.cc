#include "server/catalog/open/voice_opener.h"

#include <sys/resource.h>

#include <algorithm>
#include <future>
#include <memory>
#include <utility>

#include "server/base/monotonic_clock.h"
#include "server/catalog/open/warm_up.h"

namespace timbre {
namespace {

// What the calling thread has read from a disk so far.
int64_t BlocksRead() {
  struct rusage usage {};
  getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_inblock + usage.ru_majflt;
}

OpeningResult ResultOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return OpeningResult::kOk;
    case absl::StatusCode::kResourceExhausted:
      return OpeningResult::kNoRoom;
    case absl::StatusCode::kDataLoss:
      return OpeningResult::kDamaged;
    case absl::StatusCode::kCancelled:
      return OpeningResult::kCancelled;
    default:
      return OpeningResult::kFailed;
  }
}

// Whether there was something to open.
bool IsOpening(const absl::Status& status) {
  return !absl::IsNotFound(status) && !absl::IsFailedPrecondition(status);
}

absl::Status TheServerStops() {
  return absl::CancelledError("the server stops");
}

}  // namespace

VoiceOpener::VoiceOpener(Acquire acquire, Observe observe, int threads)
    : acquire_(std::move(acquire)),
      observe_(std::move(observe)),
      threads_("open", threads, ThreadPriority::kDeferred) {}

void VoiceOpener::Open(const Voices& voices, Done done, Gone gone) {
  MutexLock lock(mutex_);
  if (stopped_) {
    lock.Unlock();
    return done(TheServerStops());
  }
  std::vector<Waiter>& waiting = waiting_[voices];
  waiting.push_back({std::move(done), std::move(gone)});
  if (waiting.size() > 1) return;
  ++queued_;
  // With the lock, so that Stop does not come between the two.
  threads_.Submit([this, voices] { AcquireForAll(voices); });
}

void VoiceOpener::Stop() {
  {
    const MutexLock lock(mutex_);
    stopped_ = true;
  }
  threads_.Stop();
}

uint64_t VoiceOpener::waiting() const {
  const MutexLock lock(mutex_);
  return queued_;
}

absl::StatusOr<Lease> VoiceOpener::OpenNow(const VoiceName& voice,
                                           const Gone& gone) {
  // Shared: the thread may still be in it when this function returns.
  const auto opened = std::make_shared<std::promise<absl::StatusOr<Leases>>>();
  {
    const MutexLock lock(mutex_);
    if (stopped_) return TheServerStops();
    ++queued_;
    threads_.Submit([this, voice, gone, opened] {
      opened->set_value(AcquireObserved({voice}, gone, /*ahead=*/false));
    });
  }
  absl::StatusOr<Leases> leases = opened->get_future().get();
  if (!leases.ok()) return leases.status();
  return std::move(leases->front());
}

bool VoiceOpener::AllGone(const Voices& voices) {
  const MutexLock lock(mutex_);
  const std::vector<Waiter>& waiting = waiting_.at(voices);
  return std::all_of(waiting.begin(), waiting.end(),
                     [](const Waiter& waiter) { return waiter.gone(); });
}

absl::StatusOr<VoiceOpener::Leases> VoiceOpener::AcquireObserved(
    const Voices& voices, const Gone& gone, bool ahead) {
  {
    const MutexLock lock(mutex_);
    --queued_;
  }
  const absl::Time start = MonotonicNow();
  const int64_t blocks = BlocksRead();
  absl::StatusOr<Leases> leases =
      gone() ? absl::CancelledError("nobody waits for it any more")
             : acquire_(voices, gone);
  if (leases.ok() && ahead) {
    for (const Lease& lease : *leases) ReadAheadFrames(*lease, gone);
  }
  if (IsOpening(leases.status())) {
    observe_(ResultOf(leases.status()), MonotonicNow() - start,
             BlocksRead() > blocks);
  }
  return leases;
}

void VoiceOpener::AcquireForAll(const Voices& voices) {
  absl::StatusOr<Leases> leases = AcquireObserved(
      voices, [&] { return AllGone(voices); }, /*ahead=*/true);
  std::vector<Waiter> waiting;
  {
    const MutexLock lock(mutex_);
    waiting = std::move(waiting_.extract(voices).mapped());
  }
  const Waiter last = std::move(waiting.back());
  waiting.pop_back();
  for (const Waiter& waiter : waiting) waiter.done(leases);
  last.done(std::move(leases));
}

}  // namespace timbre
