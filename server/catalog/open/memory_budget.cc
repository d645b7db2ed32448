#include "server/catalog/open/memory_budget.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "server/base/monotonic_clock.h"
#include "server/catalog/open/charge.h"

namespace timbre {
namespace {

// Closed together, with the lock held for a moment.
constexpr size_t kPickedAtOnce = 64;
// Of time that is waited for an idle version: longer is not needed, and what is
// added to now is not to overflow.
constexpr absl::Duration kMaxIdleWait = absl::Hours(1);

}  // namespace

void ChargeFree::operator()(Charge* charge) const {
  const std::unique_ptr<Charge> owned(charge);
  const std::shared_ptr<MemoryBudget> budget = charge->budget;
  budget->Free(*charge);
}

MemoryBudget::MemoryBudget(Options options)
    : options_(options),
      order_(options.limit),
      closer_([this] { CloseWhatIsIdle(); }) {}

void MemoryBudget::Stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    to_close_.notify_all();
  }
  if (closer_.joinable()) closer_.join();
}

void MemoryBudget::Free(Charge& charge) {
  const MutexLock lock(mutex_);
  if (charge.state == ChargeState::kIdle) order_.Take(charge);
  if (IsOpen(charge)) order_.Closed(charge);
  if (charge.outside) outside_taken_ = false;
  Account(charge) -= charge.room;
  if (charge.visits > 0) {
    for (const auto& [number, visit] : under_way_) {
      std::erase(visit->taken_, &charge);
    }
  }
  if (charge.of != nullptr && charge.of->charge_ == &charge) {
    charge.of->charge_ = nullptr;
  }
  changed_.notify_all();
}

OpenRoom& MemoryBudget::Account(const Charge& charge) {
  RoomUsed& used = charge.outside ? used_outside_ : used_;
  switch (charge.state) {
    case ChargeState::kReserved:
      return used.reserved;
    case ChargeState::kHeld:
      return charge.kept ? used.held : used.visited;
    case ChargeState::kIdle:
      return used.idle;
    case ChargeState::kClosing:
      break;
  }
  return used.closing;
}

void MemoryBudget::Become(Charge& charge, ChargeState state) {
  if (charge.state == ChargeState::kIdle) order_.Take(charge);
  Account(charge) -= charge.room;
  charge.state = state;
  charge.kept = false;
  Account(charge) += charge.room;
}

void MemoryBudget::Opened(Charge& charge, Visit& visit) {
  const MutexLock lock(mutex_);
  Become(charge, ChargeState::kHeld);
  order_.Opened(charge, charge.of != nullptr ? charge.of->used_at_ : 0);
  Taken(charge, visit);
  changed_.notify_all();
}

bool MemoryBudget::BringInside(Charge& charge) {
  const Verdict verdict = Judge(options_.limit, used_, charge.room);
  if (verdict != Verdict::kGrant && verdict != Verdict::kClose) return false;
  Account(charge) -= charge.room;
  charge.outside = false;
  outside_taken_ = false;
  Account(charge) += charge.room;
  // Not by this thread, which has a version's lock.
  to_close_.notify_all();
  changed_.notify_all();
  return true;
}

bool MemoryBudget::Take(Charge& charge, Visit& visit, bool may_fail) {
  const MutexLock lock(mutex_);
  if (charge.state == ChargeState::kClosing) return false;
  if (charge.outside && !BringInside(charge) && may_fail) return false;
  if (charge.state == ChargeState::kIdle) {
    Become(charge, ChargeState::kHeld);
  }
  Taken(charge, visit);
  return true;
}

bool MemoryBudget::Rest(Charge& charge, bool stays) {
  const MutexLock lock(mutex_);
  if (charge.state == ChargeState::kClosing) return false;
  if (!stays) {
    StartClosing(charge, ClosingReason::kSuperseded);
    return false;
  }
  if (charge.state == ChargeState::kIdle) return true;
  if (charge.outside && !BringInside(charge)) {
    StartClosing(charge, ClosingReason::kBudget);
    return false;
  }
  // The closer waits for the first one alone: others are idle for less long.
  if (order_.empty()) to_close_.notify_all();
  Become(charge, ChargeState::kIdle);
  order_.Rest(charge, MonotonicNow());
  if (charge.of != nullptr) charge.of->used_at_ = charge.used_at;
  changed_.notify_all();  // somebody may wait for room
  return true;
}

void MemoryBudget::StartClosing(Charge& charge, ClosingReason reason) {
  if (reason == ClosingReason::kBudget && charge.state == ChargeState::kIdle) {
    counted_.last_closed_age = MonotonicNow() - charge.last_held;
  }
  ++counted_.closings[static_cast<size_t>(reason)];
  Become(charge, ChargeState::kClosing);
  order_.Closed(charge);
}

void MemoryBudget::Leave(Charge& charge, ClosingReason why) {
  charge.of->charge_ = nullptr;
  charge.of = nullptr;
  charge.left = why;
  if (charge.state == ChargeState::kIdle) StartClosing(charge, why);
  changed_.notify_all();
}

void MemoryBudget::Detach(Charge& charge) {
  const MutexLock lock(mutex_);
  if (charge.of != nullptr) Leave(charge, ClosingReason::kDamaged);
}

void MemoryBudget::Forget(BudgetedVersion& version) {
  const MutexLock lock(mutex_);
  if (version.charge_ != nullptr) {
    Leave(*version.charge_, ClosingReason::kDeleted);
  }
}

void MemoryBudget::Leaving(Charge& charge) {
  const MutexLock lock(mutex_);
  if (!IsOpen(charge)) return;
  StartClosing(charge, charge.left);
  changed_.notify_all();
}

void MemoryBudget::Pick(Charge& charge, ClosingReason reason,
                        Versions& versions) {
  StartClosing(charge, reason);
  if (auto version = charge.version.lock()) {
    versions.push_back(std::move(version));
  }
}

MemoryBudget::Versions MemoryBudget::PickFor(OpenRoom room) {
  Versions versions;
  while (versions.size() < kPickedAtOnce &&
         Judge(options_.limit, used_, room) == Verdict::kClose) {
    Pick(static_cast<Charge&>(*order_.Next()), ClosingReason::kBudget,
         versions);
  }
  return versions;
}

MemoryBudget::Versions MemoryBudget::PickIdleSince(absl::Time time) {
  Versions versions;
  while (versions.size() < kPickedAtOnce) {
    ClosingOrder::Entry* const idle = order_.IdleSince(time);
    if (idle == nullptr) break;
    Pick(static_cast<Charge&>(*idle), ClosingReason::kIdle, versions);
  }
  return versions;
}

void MemoryBudget::CloseWhatIsIdle() {
  pthread_setname_np(pthread_self(), "closer");
  MutexLock lock(mutex_);
  while (!stopping_) {
    Versions versions = PickFor({});
    absl::Time next = absl::InfiniteFuture();
    if (options_.close_idle_after < absl::InfiniteDuration()) {
      const absl::Time now = MonotonicNow();
      Versions idle = PickIdleSince(now - options_.close_idle_after);
      std::move(idle.begin(), idle.end(), std::back_inserter(versions));
      next = order_.idle_since() + options_.close_idle_after;
    }
    if (!versions.empty()) {
      CloseUnlocked(std::move(versions), lock);
    } else if (next == absl::InfiniteFuture()) {
      lock.Wait(to_close_);
    } else {
      lock.WaitFor(to_close_, absl::ToChronoMilliseconds(std::min(
                                  next - MonotonicNow(), kMaxIdleWait)) +
                                  std::chrono::milliseconds(1));
    }
  }
}

MemoryBudget::Totals MemoryBudget::totals() const {
  const MutexLock lock(mutex_);
  Totals totals = counted_;
  totals.versions = order_.open();
  totals.limit = options_.limit;
  for (const RoomUsed* const used : {&used_, &used_outside_}) {
    totals.held += used->held + used->visited;
    totals.open += used->held + used->visited + used->idle + used->closing;
    totals.reserved += used->reserved;
  }
  return totals;
}

}  // namespace timbre
