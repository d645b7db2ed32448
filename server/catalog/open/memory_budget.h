// How much open versions may hold, and which of them are closed for others.
//
// Each opening has a charge, from before its files are read until its memory
// has gone back to the system:
//
//   reserved   it is being opened; what it will hold at most
//   held       streams hold it
//   idle       nobody does; it stays open until its room is wanted
//   closing    it is being unmapped
//
// Which idle version goes first: closing_order.h.
#ifndef TIMBRE_SERVER_CATALOG_OPEN_MEMORY_BUDGET_H_
#define TIMBRE_SERVER_CATALOG_OPEN_MEMORY_BUDGET_H_

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/catalog/open/budget_rules.h"
#include "server/catalog/open/closing_order.h"

namespace timbre {

class MemoryBudget;
struct Charge;

// What the budget knows of a version, which has it as a base; held by shared
// pointers alone.
class BudgetedVersion : public std::enable_shared_from_this<BudgetedVersion> {
 public:
  BudgetedVersion() = default;
  virtual ~BudgetedVersion() = default;
  BudgetedVersion(const BudgetedVersion&) = delete;
  BudgetedVersion& operator=(const BudgetedVersion&) = delete;

  // Lets go of what is open and was idle: nobody can take it any more. Called
  // without a lock.
  virtual void Close() = 0;

 private:
  friend class MemoryBudget;
  // Of the budget, under its lock: of what is open, or on its way; and how many
  // openings there had been at the end of its last use, 0: there was none.
  Charge* charge_ = nullptr;
  uint64_t used_at_ = 0;
};

// What one opening holds. Its end says that the memory has gone back.
struct ChargeFree {
  void operator()(Charge* charge) const;
};
using ChargePtr = std::unique_ptr<Charge, ChargeFree>;

// Why a version was closed.
enum class ClosingReason : uint8_t {
  kBudget,
  kIdle,
  kSuperseded,
  kDeleted,
  kDamaged
};
inline constexpr size_t kClosingReasons = 5;

// Thread-safe; held by shared pointers alone. Its lock is taken after that of a
// version and held for moments.
class MemoryBudget : public std::enable_shared_from_this<MemoryBudget> {
 public:
  struct Options {
    OpenRoom limit;  // zeros: none
    // What nobody has held for so long is closed.
    absl::Duration close_idle_after = absl::InfiniteDuration();
  };
  struct Want {
    std::shared_ptr<BudgetedVersion> version;
    OpenRoom room;  // at most what it will hold
  };
  // Seen from outside.
  struct Totals {
    OpenRoom limit;
    OpenRoom open;          // of open versions, also of those that are closing
    OpenRoom held;          // of those of them that somebody holds
    OpenRoom reserved;      // for those that are being opened
    uint64_t versions = 0;  // that are open
    uint64_t waiting = 0;   // openings that wait for room, or for their turn
    std::array<uint64_t, kClosingReasons> closings{};
    // From the last use of what was closed last for others until then;
    // infinite: nothing was.
    absl::Duration last_closed_age = absl::InfiniteDuration();
  };

  explicit MemoryBudget(Options options);
  // After Stop.
  ~MemoryBudget() = default;
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;
  // Has nothing closed any more by itself. Not from Close.
  void Stop();

  using Cancelled = std::function<bool()>;

  // What one caller takes together. What it holds may be for a moment alone,
  // since it cannot have all that it wants, or wants no more than a look:
  // nobody is refused for that until its end, which is to come after that of
  // what is not kept. Nobody waits for a turn with one that has taken
  // something. Not thread-safe.
  class Visit {
   public:
    explicit Visit(MemoryBudget& budget) : budget_(budget) {}
    ~Visit() { End(); }
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

    // It has all, and the caller still holds all that it has taken: a use of
    // each version, if that was not used a few visits before. Clients begin
    // several streams at once.
    void Count();
    // It may begin anew.
    void End();

   private:
    friend class MemoryBudget;
    MemoryBudget& budget_;
    // Of the budget, under its lock: what it has taken and is charged yet.
    std::vector<Charge*> taken_;
    uint64_t number_ = 0;  // its own: where it has taken something, else 0
  };

  // In the order in which they come: who holds what is open already and asks
  // for more has the turn, so that two who do never keep each other from it.
  class Turn {
   public:
    // Waits for it, or until `cancelled` says that nobody wants it any more.
    Turn(MemoryBudget& budget, const Cancelled& cancelled);
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    // CANCELLED: it did not come.
    const absl::Status& status() const { return status_; }

   private:
    MemoryBudget& budget_;
    uint64_t number_ = 0;
    absl::Status status_;
  };

  // Waits until none of `versions` is on its way, so that each is open or
  // closed; by somebody who holds nothing. CANCELLED as above.
  absl::Status WaitForThose(
      std::span<const std::shared_ptr<BudgetedVersion>> versions,
      const Cancelled& cancelled);
  // Room for all of `wants`, or for none, by whoever has the turn and holds
  // `beside`, which is to be open together with them. Closes what is idle, and
  // waits while closings, openings and visits under way may make room. An empty
  // vector: one of them is open or on its way, and the caller is to give up
  // what it holds, wait for it and begin anew.
  // RESOURCE_EXHAUSTED MEMORY_BUDGET (again later) where streams hold too much,
  // VERSION_TOO_LARGE where the limit is less than all of it, CANCELLED as
  // above.
  absl::StatusOr<std::vector<ChargePtr>> Reserve(std::span<const Want> wants,
                                                 OpenRoom beside,
                                                 const Visit& visit,
                                                 const Cancelled& cancelled);
  // The same for one that must not fail and needs no turn: where there is no
  // room otherwise, it has a place beside the budget, one at a time, and waits
  // for that. Null: it is open meanwhile.
  ChargePtr ReserveForSure(const Want& want);

  // It is open, and held by the caller.
  void Opened(Charge& charge, Visit& visit);
  // Holds what is idle or held. False: it is closing, or beside the budget,
  // which has no room for it, and the caller `may_fail` for that.
  bool Take(Charge& charge, Visit& visit, bool may_fail = true);
  // Nobody holds it any more: it rests. False: it is to be closed instead,
  // since there is no room for it, or `stays` is false.
  bool Rest(Charge& charge, bool stays);
  // Its frames are damaged: another opening may take its place, though streams
  // hold this one.
  void Detach(Charge& charge);
  // The version is gone.
  void Forget(BudgetedVersion& version);
  // What had no version any more is held by nobody: it is being unmapped.
  void Leaving(Charge& charge);

  // VERSION_TOO_LARGE: `room` can never be had.
  absl::Status Fits(OpenRoom room) const;
  Totals totals() const;

 private:
  friend struct ChargeFree;
  using Versions = std::vector<std::shared_ptr<BudgetedVersion>>;

  // Not for ever: who goes tells nobody.
  void WaitForChange(MutexLock& lock) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Leave(Charge& charge, ClosingReason why)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CloseUnlocked(Versions versions, MutexLock& lock)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  ChargePtr Make(const Want& want, bool outside)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Free(Charge& charge);
  OpenRoom& Account(const Charge& charge) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Become(Charge& charge, ChargeState state)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Taken(Charge& charge, Visit& visit)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Left(Charge& charge) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // As others see it who want room: what `visit` holds is not for a moment.
  RoomUsed UsedBeside(const Visit& visit) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether one that began before visit `until` is under way, but for `mine`.
  bool OthersVisit(uint64_t until, const Visit& mine) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // From its place beside the budget, where there is room now.
  bool BringInside(Charge& charge) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Some of what is to be closed so that there will be `room`, closing from now
  // on; empty: nothing is.
  Versions PickFor(OpenRoom room) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Versions PickIdleSince(absl::Time time) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Pick(Charge& charge, ClosingReason reason, Versions& versions)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StartClosing(Charge& charge, ClosingReason reason)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CloseWhatIsIdle();

  const Options options_;

  mutable Mutex mutex_;
  std::condition_variable changed_;  // room, a version's charge, whose turn
  std::condition_variable to_close_;
  RoomUsed used_ ABSL_GUARDED_BY(mutex_);
  // The same beside the budget, by one at a time.
  RoomUsed used_outside_ ABSL_GUARDED_BY(mutex_);
  bool outside_taken_ ABSL_GUARDED_BY(mutex_) = false;
  ClosingOrder order_ ABSL_GUARDED_BY(mutex_);
  // Those that have taken something, in the order in which they did.
  std::map<uint64_t, Visit*> under_way_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_visit_ ABSL_GUARDED_BY(mutex_) = 1;
  Totals counted_ ABSL_GUARDED_BY(mutex_);  // but for room
  uint64_t next_turn_ ABSL_GUARDED_BY(mutex_) = 0;
  std::list<uint64_t> turns_ ABSL_GUARDED_BY(mutex_);  // whose it is, first
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread closer_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_OPEN_MEMORY_BUDGET_H_
