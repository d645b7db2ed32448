#include "server/catalog/open/version_life.h"

#include <utility>

#include "server/base/log.h"
#include "server/base/status_macros.h"

namespace timbre {
namespace {

using State = VersionLife::State;

std::shared_ptr<const VersionRecord> SharedRecord(
    absl::StatusOr<VersionRecord> found) {
  if (!found.ok()) return nullptr;
  return std::make_shared<const VersionRecord>(*std::move(found));
}

}  // namespace

bool VersionLife::CanBecome(State from, State to) {
  switch (from) {
    case State::kClosed:
      return to == State::kReserved || to == State::kOpen ||
             to == State::kDamaged;
    case State::kReserved:
      return to == State::kOpening;
    case State::kOpening:
      return to == State::kOpen || to == State::kClosed ||
             to == State::kDamaged;
    case State::kOpen:
      return to == State::kClosing || to == State::kReserved;
    case State::kClosing:
      return to == State::kClosed || to == State::kReserved ||
             to == State::kDamaged;
    case State::kDamaged:
      return to == State::kReserved;
  }
  return false;
}

VersionLife::VersionLife(absl::StatusOr<VersionRecord> found,
                         std::shared_ptr<ThreadPool> reaper)
    : reaper_(std::move(reaper)),
      state_(absl::IsDataLoss(found.status()) ? State::kDamaged
                                              : State::kClosed),
      damage_(found.status()) {
  record_ = SharedRecord(std::move(found));
}

// Nobody has to tell that the last lease has gone.
VersionLife::State VersionLife::StateNow() const {
  return state_ == State::kOpen && index_.expired() ? State::kClosing : state_;
}

void VersionLife::Become(State state) {
  const State now = StateNow();
  if (!CanBecome(now, state)) {
    Log(LogLevel::kError, "version_state_unforeseen",
        {{"from", static_cast<int>(now)}, {"to", static_cast<int>(state)}});
  }
  state_ = state;
}

VersionLife::View VersionLife::Look() const {
  const MutexLock lock(mutex_);
  View view{.state = StateNow(), .record = record_, .damage = damage_};
  view.damaged = absl::IsDataLoss(damage_);
  if (const IndexPtr index = index_.lock(); index != nullptr) {
    view.resident_bytes = index->resident_bytes();
    view.damaged = index->store().damaged();
    if (!view.damaged) view.damage = absl::OkStatus();
  }
  return view;
}

bool VersionLife::NotRead() const {
  const MutexLock lock(mutex_);
  return NotReadLocked();
}

void VersionLife::ReadAgain(absl::StatusOr<VersionRecord> found) {
  const MutexLock lock(mutex_);
  // What an opening under way finds is newer.
  if (!NotReadLocked() || StateNow() != State::kClosed) return;
  damage_ = found.status();
  if (absl::IsDataLoss(damage_)) Become(State::kDamaged);
  record_ = SharedRecord(std::move(found));
}

Lease VersionLife::Find() {
  const MutexLock lock(mutex_);
  Lease lease = LeaseOf(index_.lock());
  if (lease != nullptr && lease->index->store().damaged()) return nullptr;
  return lease;
}

// A lease from before the record was replaced may be all that is left.
Lease VersionLife::LeaseOf(IndexPtr index) {
  Lease lease = lease_.lock();
  if (lease == nullptr && index != nullptr) {
    lease = std::make_shared<const LoadedVersion>(
        LoadedVersion{record_, std::move(index)});
    lease_ = lease;
  }
  return lease;
}

VersionLife::State VersionLife::Resting() const {
  return absl::IsDataLoss(damage_) ? State::kDamaged : State::kClosed;
}

absl::StatusOr<Lease> VersionLife::Open(Reader reader) {
  const MutexLock opening(opening_mutex_);
  IndexPtr index;
  {
    const MutexLock lock(mutex_);
    index = index_.lock();
  }
  if (index != nullptr && index->store().Check().ok()) {
    const MutexLock lock(mutex_);
    return LeaseOf(std::move(index));
  }
  index.reset();
  {
    MutexLock lock(mutex_);
    Become(State::kReserved);
    while (index_.expired() && unmapped_opening_ != opening_) {
      lock.Wait(unmapped_);
    }
    Become(State::kOpening);
  }
  absl::StatusOr<Read> read = reader();
  const MutexLock lock(mutex_);
  if (!read.ok()) {
    // Streams may hold damaged frames of the opening before.
    Become(unmapped_opening_ != opening_ ? State::kOpen : Resting());
    return read.status();
  }
  return Opened(*std::move(read));
}

Lease VersionLife::Opened(Read read) {
  IndexPtr index = Shared(std::move(read.index));
  Lease lease =
      std::make_shared<const LoadedVersion>(LoadedVersion{read.record, index});
  Become(State::kOpen);
  record_ = std::move(read.record);
  damage_ = absl::OkStatus();
  index_ = index;
  lease_ = lease;
  return lease;
}

VersionLife::IndexPtr VersionLife::Shared(
    std::unique_ptr<const SpeakerIndex> index) {
  const auto unmap = [reaper = reaper_, life = weak_from_this(),
                      opening = ++opening_](const SpeakerIndex* last) {
    // Destroyed with the task: on the reaper's thread, or here after its end.
    std::shared_ptr<const SpeakerIndex> owned(last);
    reaper->Submit([owned = std::move(owned), life, opening]() mutable {
      owned.reset();
      if (const auto alive = life.lock()) alive->Unmapped(opening);
    });
  };
  return IndexPtr(index.release(), unmap);
}

void VersionLife::Unmapped(uint64_t opening) {
  const MutexLock lock(mutex_);
  if (opening != opening_) return;
  unmapped_opening_ = opening;
  if (state_ == State::kOpen) Become(Resting());
  unmapped_.notify_all();
}

Lease VersionLife::Publish(Read built) {
  const MutexLock lock(mutex_);
  return Opened(std::move(built));
}

void VersionLife::KeepOpen(bool keep) {
  Lease kept;  // what was, to go without the lock
  const MutexLock lock(mutex_);
  kept = std::exchange(kept_, keep ? LeaseOf(index_.lock()) : nullptr);
}

void VersionLife::SayDamaged(const absl::Status& damage) {
  const MutexLock lock(mutex_);
  // Somebody may be opening it again already.
  const State now = StateNow();
  if (now == State::kReserved || now == State::kOpening) return;
  if (const IndexPtr index = index_.lock();
      index != nullptr && !index->store().damaged()) {
    return;
  }
  damage_ = damage;
  if (now == State::kClosed) Become(State::kDamaged);
}

void VersionLife::SayFilesDamaged(const absl::Status& damage) {
  const MutexLock lock(mutex_);
  if (const IndexPtr index = index_.lock(); index != nullptr) {
    index->store().file().SayDamaged();
  }
  damage_ = damage;
  if (StateNow() == State::kClosed) Become(State::kDamaged);
}

absl::Status VersionLife::ReplaceRecord(
    const Lease& lease, std::shared_ptr<const VersionRecord> record,
    absl::FunctionRef<absl::Status()> commit) {
  const MutexLock opening(opening_mutex_);
  absl::Status committed = commit();
  if (!committed.ok() && !absl::IsUnknown(committed)) return committed;
  IndexPtr open;
  Lease replaced;  // these, and what was kept, go without the lock
  const MutexLock lock(mutex_);
  record_ = std::move(record);
  // Not that of `lease` where it was opened anew since.
  open = index_.lock();
  replaced = std::make_shared<const LoadedVersion>(
      LoadedVersion{record_, open != nullptr ? open : lease->index});
  if (open != nullptr) lease_ = replaced;
  if (kept_ != nullptr) kept_.swap(replaced);
  return committed;
}

}  // namespace timbre
