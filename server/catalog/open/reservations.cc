// Who waits for room, and gets it or not: the part of MemoryBudget that waits.
#include <chrono>
#include <optional>
#include <set>
#include <utility>

#include "server/catalog/open/charge.h"
#include "server/catalog/open/memory_budget.h"

namespace timbre {
namespace {

// Between two looks at whether anybody still waits.
constexpr std::chrono::milliseconds kWaitSlice{50};

// For a caller without a place beside the budget.
bool IsOnItsWay(const Charge* charge) {
  return charge != nullptr && (!IsOpen(*charge) || charge->outside);
}

absl::Status NobodyWaits() {
  return absl::CancelledError("nobody waits for it any more");
}

}  // namespace

void MemoryBudget::Visit::Count() {
  const MutexLock lock(budget_.mutex_);
  budget_.order_.NextVisit();
  for (Charge* const charge : taken_) budget_.order_.CountUse(*charge);
}

void MemoryBudget::Visit::End() {
  if (number_ == 0) return;
  const MutexLock lock(budget_.mutex_);
  for (Charge* const charge : taken_) budget_.Left(*charge);
  taken_.clear();
  budget_.under_way_.erase(std::exchange(number_, 0));
  budget_.changed_.notify_all();
}

MemoryBudget::Turn::Turn(MemoryBudget& budget, const Cancelled& cancelled)
    : budget_(budget) {
  MutexLock lock(budget_.mutex_);
  number_ = budget_.next_turn_++;
  budget_.turns_.push_back(number_);
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
  ChargePtr charge(new Charge(shared_from_this(), want, outside));
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
    const RoomUsed used = UsedBeside(visit);
    const Verdict verdict = Judge(options_.limit, used, all);
    if (verdict == Verdict::kRefuse) {
      if (!refused) refused = next_visit_;
      if (!OthersVisit(*refused, visit)) {
        return NoRoom(options_.limit, used.held, all);
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

bool MemoryBudget::OthersVisit(uint64_t until, const Visit& mine) const {
  for (const auto& [number, visit] : under_way_) {
    if (number >= until) return false;
    if (visit != &mine) return true;
  }
  return false;
}

void MemoryBudget::Taken(Charge& charge, Visit& visit) {
  if (visit.number_ == 0) {
    visit.number_ = next_visit_++;
    under_way_.emplace(visit.number_, &visit);
  }
  visit.taken_.push_back(&charge);
  ++charge.visits;
}

void MemoryBudget::Left(Charge& charge) {
  if (--charge.visits > 0 || charge.state != ChargeState::kHeld) return;
  Account(charge) -= charge.room;
  charge.kept = true;
  Account(charge) += charge.room;
}

RoomUsed MemoryBudget::UsedBeside(const Visit& visit) const {
  RoomUsed used = used_;
  std::set<const Charge*> counted;
  for (const Charge* const charge : visit.taken_) {
    const bool visited = charge->state == ChargeState::kHeld && !charge->kept;
    if (!visited || charge->outside || !counted.insert(charge).second) continue;
    used.visited -= charge->room;
    used.held += charge->room;
  }
  return used;
}

absl::Status MemoryBudget::Fits(OpenRoom room) const {
  return Judge(options_.limit, {}, room) == Verdict::kNever
             ? TooLarge(options_.limit, room)
             : absl::OkStatus();
}

}  // namespace timbre
