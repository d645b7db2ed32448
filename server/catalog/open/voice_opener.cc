#include "server/catalog/open/voice_opener.h"

#include <sys/resource.h>

#include <algorithm>
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

}  // namespace

VoiceOpener::VoiceOpener(Acquire acquire, Observe observe, int threads)
    : acquire_(std::move(acquire)),
      observe_(std::move(observe)),
      threads_("open", threads, ThreadPriority::kDeferred) {}

void VoiceOpener::Open(const Voices& voices, Done done, Gone gone) {
  MutexLock lock(mutex_);
  if (stopped_) {
    lock.Unlock();
    return done(absl::CancelledError("the server stops"));
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

absl::StatusOr<Lease> VoiceOpener::OpenNow(const VoiceName& voice) {
  absl::StatusOr<Leases> leases = acquire_({&voice, 1}, [] { return false; });
  if (!leases.ok()) return leases.status();
  return std::move(leases->front());
}

bool VoiceOpener::AllGone(const Voices& voices) {
  const MutexLock lock(mutex_);
  const std::vector<Waiter>& waiting = waiting_.at(voices);
  return std::all_of(waiting.begin(), waiting.end(),
                     [](const Waiter& waiter) { return waiter.gone(); });
}

void VoiceOpener::AcquireForAll(const Voices& voices) {
  {
    const MutexLock lock(mutex_);
    --queued_;
  }
  const absl::Time start = MonotonicNow();
  const int64_t blocks = BlocksRead();
  const auto cancelled = [&] { return AllGone(voices); };
  absl::StatusOr<Leases> leases =
      cancelled() ? absl::CancelledError("nobody waits for it any more")
                  : acquire_(voices, cancelled);
  if (leases.ok()) {
    for (const Lease& lease : *leases) ReadAheadFrames(*lease);
  }
  observe_(ResultOf(leases.status()), MonotonicNow() - start,
           BlocksRead() > blocks);
  std::vector<Waiter> waiting;
  {
    const MutexLock lock(mutex_);
    waiting = std::move(waiting_.extract(voices).mapped());
  }
  for (const Waiter& waiter : waiting) waiter.done(leases);
}

}  // namespace timbre
