// Which of the open versions that nobody holds is closed first where its room
// is wanted.
//
// The one that was used longest ago of those that are used now and then, so
// that a sweep over all voices, however often, throws out what it has brought
// itself; only then of the hot ones. Hot becomes what is used again while it is
// open, or not long after, until hot ones take most of the room; then what
// comes back sooner than the hot one that was used longest ago, which is hot no
// more (LIRS: Jiang and Zhang, SIGMETRICS 2002). Time is counted in openings.
#ifndef TIMBRE_SERVER_CATALOG_OPEN_CLOSING_ORDER_H_
#define TIMBRE_SERVER_CATALOG_OPEN_CLOSING_ORDER_H_

#include <cstddef>
#include <cstdint>
#include <list>

#include "absl/time/time.h"
#include "server/catalog/open/budget_rules.h"

namespace timbre {

// Not thread-safe.
class ClosingOrder {
 public:
  // Of one open version, which has it as a base.
  struct Entry {
    OpenRoom room;
    // Openings at the end of its last use; 0: there was none.
    uint64_t used_at = 0;
    absl::Time last_held = absl::InfinitePast();

   private:
    friend class ClosingOrder;
    bool hot_ = false;
    bool counted_ = false;     // it is held for a use, not for a look
    uint64_t counted_at_ = 0;  // the visit that was its last use; 0: none
    std::list<Entry*>::iterator place_;  // of an idle one
  };

  // Of all that may be open; zeros: no limit.
  explicit ClosingOrder(OpenRoom limit) : limit_(limit) {}

  // It is open, and held. `used_at`: of the opening before.
  void Opened(Entry& entry, uint64_t used_at);
  // Another visit begins, whose uses are counted.
  void NextVisit() { ++visits_; }
  // One that is held is used by that visit. Some visits that begin with one of
  // a version are one use of it.
  void CountUse(Entry& entry);
  // It is idle from `now` on; where it was held for a look alone, from when it
  // was before, and in its old place.
  void Rest(Entry& entry, absl::Time now);
  // It is idle no more.
  void Take(Entry& entry);
  // It is open no more, nor idle.
  void Closed(Entry& entry);

  // Null: nothing is idle.
  Entry* Next() const;
  // One that is idle since `time` or longer; null: none is.
  Entry* IdleSince(absl::Time time) const;
  // Since when the one is idle that was held longest ago; infinitely late: none
  // is idle.
  absl::Time idle_since() const;
  bool empty() const { return cold_.empty() && hot_.empty(); }
  uint64_t open() const { return open_; }

 private:
  using List = std::list<Entry*>;

  List& ListOf(const Entry& entry) { return entry.hot_ ? hot_ : cold_; }
  // Whether one may that was used before, when there had been `before`
  // openings; what is staler gives way.
  bool BecomesHot(uint64_t before);
  // Not of an idle one, which is in a list.
  void SetHot(Entry& entry, bool hot);

  const OpenRoom limit_;
  // Idle ones, from what was held longest ago.
  List cold_;
  List hot_;
  OpenRoom hot_room_;  // of held ones too
  uint64_t open_ = 0;
  uint64_t openings_ = 0;
  uint64_t visits_ = 0;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_OPEN_CLOSING_ORDER_H_
