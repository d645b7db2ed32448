#include "server/catalog/open/memory_budget.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <optional>
#include <utility>

#include "server/base/monotonic_clock.h"

namespace timbre {

// Guarded by the budget's lock, but for what is constant.
struct Charge {
  const std::shared_ptr<MemoryBudget> budget;
  const std::weak_ptr<BudgetedVersion> version;
  BudgetedVersion* of = nullptr;  // null: gone, or another took its place
  ChargeState state = ChargeState::kReserved;
  OpenRoom room;
  bool outside = false;
  // Why it has no version any more.
  ClosingReason left = ClosingReason::kDeleted;
  bool hot = false;
  bool counted = false;     // it is held for a use, not for a look
  uint64_t used_at = 0;     // openings at the end of its last use; 0: none
  uint64_t counted_at = 0;  // the visit that was its last use; 0: none
  absl::Time last_held = absl::InfinitePast();
  std::list<Charge*>::iterator place;  // of an idle one
};

namespace {

// Between two looks at whether anybody still waits.
constexpr std::chrono::milliseconds kWaitSlice{50};
// Closed together, with the lock held for a moment.
constexpr size_t kPickedAtOnce = 64;
// So many visits that begin with one of a version are one use of it.
constexpr uint64_t kVisitsOfUse = 8;
// Of time that is waited for an idle version: longer is not needed, and what is
// added to now is not to overflow.
constexpr absl::Duration kMaxIdleWait = absl::Hours(1);

bool IsOpen(const Charge& charge) {
  return charge.state == ChargeState::kHeld ||
         charge.state == ChargeState::kIdle;
}

// For a caller without a place beside the budget.
bool IsOnItsWay(const Charge* charge) {
  return charge != nullptr && (!IsOpen(*charge) || charge->outside);
}

absl::Status NobodyWaits() {
  return absl::CancelledError("nobody waits for it any more");
}

}  // namespace

void ChargeFree::operator()(Charge* charge) const {
  const std::unique_ptr<Charge> owned(charge);
  const std::shared_ptr<MemoryBudget> budget = charge->budget;
  budget->Free(*charge);
}

MemoryBudget::MemoryBudget(Options options)
    : options_(options), closer_([this] { CloseWhatIsIdle(); }) {}

void MemoryBudget::Stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    to_close_.notify_all();
  }
  if (closer_.joinable()) closer_.join();
}

void MemoryBudget::Visit::Count() {
  const MutexLock lock(budget_.mutex_);
  ++budget_.visits_;
  for (Charge* const charge : taken_) budget_.CountUse(*charge);
}

void MemoryBudget::Visit::End() {
  if (taken_.empty()) return;
  taken_.clear();
  const MutexLock lock(budget_.mutex_);
  budget_.under_way_.erase(number_);
  budget_.changed_.notify_all();
}

MemoryBudget::Turn::Turn(MemoryBudget& budget, const Cancelled& cancelled)
    : budget_(budget), number_([&budget] {
        const MutexLock lock(budget.mutex_);
        budget.turns_.push_back(budget.next_turn_);
        return budget.next_turn_++;
      }()) {
  MutexLock lock(budget_.mutex_);
  while (budget_.turns_.front() != number_ && status_.ok()) {
    if (cancelled()) {
      status_ = NobodyWaits();
    } else {
      budget_.WaitForChange(lock);
    }
  }
}

MemoryBudget::Turn::~Turn() {
  const MutexLock lock(budget_.mutex_);
  budget_.turns_.remove(number_);
  budget_.changed_.notify_all();
}

void MemoryBudget::WaitForChange(MutexLock& lock) {
  ++counted_.waiting;
  lock.WaitFor(changed_, kWaitSlice);
  --counted_.waiting;
}

void MemoryBudget::CloseUnlocked(Versions versions, MutexLock& lock)
    ABSL_NO_THREAD_SAFETY_ANALYSIS {  // it does not see whose `lock` is
  lock.Unlock();
  for (const auto& version : versions) version->Close();
  // The last owner of one that was deleted meanwhile takes the lock.
  versions.clear();
  lock.Lock();
}

ChargePtr MemoryBudget::Make(const Want& want, bool outside) {
  ChargePtr charge(new Charge{.budget = shared_from_this(),
                              .version = want.version,
                              .of = want.version.get(),
                              .room = want.room,
                              .outside = outside});
  want.version->charge_ = charge.get();
  Account(*charge) += charge->room;
  return charge;
}

absl::Status MemoryBudget::WaitForThose(
    std::span<const std::shared_ptr<BudgetedVersion>> versions,
    const Cancelled& cancelled) {
  MutexLock lock(mutex_);
  for (const auto& version : versions) {
    while (IsOnItsWay(version->charge_)) {
      if (cancelled()) return NobodyWaits();
      WaitForChange(lock);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ChargePtr>> MemoryBudget::Reserve(
    std::span<const Want> wants, OpenRoom beside, const Visit& visit,
    const Cancelled& cancelled) {
  OpenRoom all;
  for (const Want& want : wants) all += want.room;
  const absl::Status fits = Fits(all + beside);
  MutexLock lock(mutex_);
  std::optional<uint64_t> refused;  // the visit that is to begin next then
  while (true) {
    if (cancelled()) return NobodyWaits();
    for (const Want& want : wants) {
      if (want.version->charge_ != nullptr) return std::vector<ChargePtr>();
    }
    if (!fits.ok()) return fits;
    const Verdict verdict = Judge(options_.limit, used_, all);
    if (verdict == Verdict::kRefuse) {
      if (!refused) refused = next_visit_;
      if (!OthersVisit(*refused, visit)) {
        return NoRoom(options_.limit, used_.held, all);
      }
      WaitForChange(lock);
    } else if (verdict == Verdict::kWait) {
      WaitForChange(lock);
    } else if (verdict == Verdict::kClose) {
      CloseUnlocked(PickFor(all), lock);
    } else {
      std::vector<ChargePtr> charges;
      for (const Want& want : wants) charges.push_back(Make(want, false));
      return charges;
    }
  }
}

ChargePtr MemoryBudget::ReserveForSure(const Want& want) {
  MutexLock lock(mutex_);
  while (true) {
    const Charge* const now = want.version->charge_;
    if (now != nullptr && IsOpen(*now)) return nullptr;
    const Verdict verdict = now != nullptr
                                ? Verdict::kWait
                                : Judge(options_.limit, used_, want.room);
    const bool no_room =
        verdict == Verdict::kRefuse || verdict == Verdict::kNever;
    if (verdict == Verdict::kGrant) return Make(want, false);
    if (no_room && !outside_taken_) {
      outside_taken_ = true;
      return Make(want, true);
    }
    if (verdict == Verdict::kClose) {
      CloseUnlocked(PickFor(want.room), lock);
    } else {
      WaitForChange(lock);
    }
  }
}

void MemoryBudget::Free(Charge& charge) {
  const MutexLock lock(mutex_);
  if (charge.state == ChargeState::kIdle) ListOf(charge).erase(charge.place);
  if (IsOpen(charge)) --counted_.versions;
  SetHot(charge, false);
  if (charge.outside) outside_taken_ = false;
  Account(charge) -= charge.room;
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
      return used.held;
    case ChargeState::kIdle:
      return used.idle;
    case ChargeState::kClosing:
      break;
  }
  return used.closing;
}

std::list<Charge*>& MemoryBudget::ListOf(const Charge& charge) {
  return charge.hot ? hot_ : cold_;
}

void MemoryBudget::Become(Charge& charge, ChargeState state) {
  if (charge.state == ChargeState::kIdle) ListOf(charge).erase(charge.place);
  Account(charge) -= charge.room;
  charge.state = state;
  Account(charge) += charge.room;
  if (state == ChargeState::kIdle) {
    std::list<Charge*>& list = ListOf(charge);
    auto next = list.end();
    // After a look it has its old place.
    while (next != list.begin() &&
           (*std::prev(next))->last_held > charge.last_held) {
      --next;
    }
    charge.place = list.insert(next, &charge);
  }
}

bool MemoryBudget::OthersVisit(uint64_t until, const Visit& mine) const {
  const uint64_t own = mine.taken_.empty() ? 0 : mine.number_;
  for (const uint64_t number : under_way_) {
    if (number >= until) return false;
    if (number != own) return true;
  }
  return false;
}

void MemoryBudget::Taken(Charge& charge, Visit& visit) {
  if (visit.taken_.empty()) {
    visit.number_ = next_visit_++;
    under_way_.insert(under_way_.end(), visit.number_);
  }
  visit.taken_.push_back(&charge);
}

void MemoryBudget::SetHot(Charge& charge, bool hot) {
  if (charge.hot == hot) return;
  charge.hot = hot;
  if (hot) {
    hot_room_ += charge.room;
  } else {
    hot_room_ -= charge.room;
  }
}

bool MemoryBudget::BecomesHot(uint64_t before) {
  while (IsFullOfHot(options_.limit, hot_room_)) {
    if (hot_.empty() || before <= hot_.front()->used_at) return false;
    Charge& stalest = *hot_.front();
    hot_.pop_front();
    SetHot(stalest, false);
    // Among the first, as a rule: cold ones come and go.
    const auto next =
        std::find_if(cold_.begin(), cold_.end(), [&](const Charge* other) {
          return other->last_held > stalest.last_held;
        });
    stalest.place = cold_.insert(next, &stalest);
  }
  return true;
}

void MemoryBudget::CountUse(Charge& charge) {
  charge.counted = true;
  if (charge.counted_at != 0 && visits_ - charge.counted_at < kVisitsOfUse) {
    return;
  }
  const bool was_open = std::exchange(charge.counted_at, visits_) != 0;
  const uint64_t before = std::exchange(charge.used_at, openings_);
  if (charge.hot || before == 0) return;
  if (!was_open && !IsSoon(openings_ - before, counted_.versions)) return;
  SetHot(charge, BecomesHot(before));
}

void MemoryBudget::Opened(Charge& charge, Visit& visit) {
  const MutexLock lock(mutex_);
  Become(charge, ChargeState::kHeld);
  ++counted_.versions;
  ++openings_;
  if (charge.of != nullptr) charge.used_at = charge.of->used_at_;
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
  const bool used = std::exchange(charge.counted, false);
  if (used || charge.last_held == absl::InfinitePast()) {
    charge.last_held = MonotonicNow();
  }
  if (used) {
    charge.used_at = openings_;
    if (charge.of != nullptr) charge.of->used_at_ = openings_;
  }
  // The closer waits for the first one alone: others are idle for less long.
  if (cold_.empty() && hot_.empty()) to_close_.notify_all();
  Become(charge, ChargeState::kIdle);
  changed_.notify_all();  // somebody may wait for room
  return true;
}

void MemoryBudget::StartClosing(Charge& charge, ClosingReason reason) {
  if (reason == ClosingReason::kBudget && charge.state == ChargeState::kIdle) {
    counted_.last_closed_age = MonotonicNow() - charge.last_held;
  }
  ++counted_.closings[static_cast<size_t>(reason)];
  --counted_.versions;
  Become(charge, ChargeState::kClosing);
  SetHot(charge, false);
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

Charge* MemoryBudget::NextToClose() {
  return cold_.empty() ? hot_.front() : cold_.front();
}

MemoryBudget::Versions MemoryBudget::PickFor(OpenRoom room) {
  Versions versions;
  while (versions.size() < kPickedAtOnce &&
         Judge(options_.limit, used_, room) == Verdict::kClose) {
    Charge* const charge = NextToClose();
    StartClosing(*charge, ClosingReason::kBudget);
    if (auto version = charge->version.lock()) {
      versions.push_back(std::move(version));
    }
  }
  return versions;
}

MemoryBudget::Versions MemoryBudget::PickIdleSince(absl::Time time) {
  Versions versions;
  for (std::list<Charge*>* const list : {&cold_, &hot_}) {
    while (versions.size() < kPickedAtOnce && !list->empty() &&
           list->front()->last_held <= time) {
      Charge& charge = *list->front();
      StartClosing(charge, ClosingReason::kIdle);
      if (auto version = charge.version.lock()) {
        versions.push_back(std::move(version));
      }
    }
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
      for (const std::list<Charge*>* const list : {&cold_, &hot_}) {
        if (list->empty()) continue;
        next = std::min(next, list->front()->last_held);
      }
      next += options_.close_idle_after;
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

absl::Status MemoryBudget::Fits(OpenRoom room) const {
  return Judge(options_.limit, {}, room) == Verdict::kNever
             ? TooLarge(options_.limit, room)
             : absl::OkStatus();
}

MemoryBudget::Totals MemoryBudget::totals() const {
  const MutexLock lock(mutex_);
  Totals totals = counted_;
  totals.limit = options_.limit;
  totals.held = used_.held + used_outside_.held;
  for (const RoomUsed* const used : {&used_, &used_outside_}) {
    totals.open += used->held + used->idle + used->closing;
    totals.reserved += used->reserved;
  }
  return totals;
}

}  // namespace timbre
