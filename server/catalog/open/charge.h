// What the budget knows of one opening; its own.
#ifndef TIMBRE_SERVER_CATALOG_OPEN_CHARGE_H_
#define TIMBRE_SERVER_CATALOG_OPEN_CHARGE_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "server/catalog/open/budget_rules.h"
#include "server/catalog/open/closing_order.h"
#include "server/catalog/open/memory_budget.h"

namespace timbre {

// Guarded by the budget's lock, but for what is constant.
struct Charge : ClosingOrder::Entry {
  Charge(std::shared_ptr<MemoryBudget> of_budget,
         const MemoryBudget::Want& want, bool beside)
      : budget(std::move(of_budget)),
        version(want.version),
        of(want.version.get()),
        outside(beside) {
    room = want.room;
  }

  const std::shared_ptr<MemoryBudget> budget;
  const std::weak_ptr<BudgetedVersion> version;
  BudgetedVersion* of;  // null: gone, or another took its place
  ChargeState state = ChargeState::kReserved;
  bool outside;
  // Of visits that have taken it; and whether it was held at the end of the
  // last one, by streams then.
  uint32_t visits = 0;
  bool kept = false;
  // Why it has no version any more.
  ClosingReason left = ClosingReason::kDeleted;
};

inline bool IsOpen(const Charge& charge) {
  return charge.state == ChargeState::kHeld ||
         charge.state == ChargeState::kIdle;
}

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_OPEN_CHARGE_H_
