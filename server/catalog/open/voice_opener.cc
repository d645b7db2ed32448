#include "server/catalog/open/voice_opener.h"

#include <sys/resource.h>

#include <algorithm>
#include <utility>

#include "server/base/errors.h"
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
      return DetailsOf(status).reason == "VERSION_TOO_LARGE"
                 ? OpeningResult::kTooLarge
                 : OpeningResult::kNoRoom;
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

}  // namespace

VoiceOpener::VoiceOpener(MemoryBudget& budget, Acquire acquire, Observe observe,
                         int threads)
    : budget_(budget),
      acquire_(std::move(acquire)),
      observe_(std::move(observe)),
      threads_("open", threads, ThreadPriority::kDeferred) {}

bool VoiceOpener::RunLocked(std::function<void()> task) {
  if (stopped_) return false;
  ++queued_;
  // With the lock, so that Stop does not come between the two.
  threads_.Submit([this, task = std::move(task)] {
    {
      const MutexLock lock(mutex_);
      --queued_;
    }
    task();
  });
  return true;
}

bool VoiceOpener::Run(std::function<void()> task) {
  const MutexLock lock(mutex_);
  return RunLocked(std::move(task));
}

void VoiceOpener::Open(const Voices& voices, Done done, Gone gone) {
  MutexLock lock(mutex_);
  std::vector<Waiter>& waiting = waiting_[voices];
  if (!waiting.empty() ||
      RunLocked([this, voices] { AcquireForAll(voices); })) {
    return waiting.push_back({std::move(done), std::move(gone)});
  }
  waiting_.erase(voices);
  lock.Unlock();
  done(absl::CancelledError("the server stops"));
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
  MemoryBudget::Visit visit(budget_);
  absl::StatusOr<Leases> leases =
      AcquireObserved({voice}, visit, gone, /*ahead=*/false);
  if (!leases.ok()) return leases.status();
  visit.Count();
  return std::move(leases->front());
}

bool VoiceOpener::AllGone(const Voices& voices) const {
  const std::vector<Waiter>& waiting = waiting_.at(voices);
  return std::all_of(waiting.begin(), waiting.end(),
                     [](const Waiter& waiter) { return waiter.gone(); });
}

absl::StatusOr<VoiceOpener::Leases> VoiceOpener::AcquireObserved(
    const Voices& voices, MemoryBudget::Visit& visit, const Gone& gone,
    bool ahead) {
  const absl::Time start = MonotonicNow();
  const int64_t blocks = BlocksRead();
  absl::StatusOr<Leases> leases =
      gone() ? absl::CancelledError("nobody waits for it any more")
             : acquire_(voices, visit, gone);
  if (leases.ok() && ahead) {
    for (const Lease& lease : *leases) ReadAheadFrames(*lease, gone);
  }
  if (IsOpening(leases.status())) {
    observe_(ResultOf(leases.status()), MonotonicNow() - start,
             BlocksRead() > blocks);
  }
  return leases;
}

std::vector<VoiceOpener::Waiter> VoiceOpener::TakeWaiters(
    const Voices& voices, const absl::Status& status, bool all_gone) {
  const MutexLock lock(mutex_);
  const bool gave_up = status.ok() || absl::IsCancelled(status);
  if (gave_up && all_gone && !AllGone(voices)) return {};
  return std::move(waiting_.extract(voices).mapped());
}

void VoiceOpener::AcquireForAll(const Voices& voices) {
  MemoryBudget::Visit visit(budget_);
  std::vector<Waiter> waiting;
  absl::StatusOr<Leases> leases;
  while (true) {
    bool all_gone = false;
    const auto gone = [&] {
      const MutexLock lock(mutex_);
      return all_gone = AllGone(voices);
    };
    leases = AcquireObserved(voices, visit, gone, /*ahead=*/true);
    waiting = TakeWaiters(voices, leases.status(), all_gone);
    if (!waiting.empty()) break;
    leases = absl::CancelledError("others came");  // lets go of them
    visit.End();
  }
  if (leases.ok()) visit.Count();
  const Waiter last = std::move(waiting.back());
  waiting.pop_back();
  for (const Waiter& waiter : waiting) waiter.done(leases);
  last.done(std::move(leases));
}

}  // namespace timbre
