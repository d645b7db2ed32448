#include "server/catalog/open/closing_order.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace timbre {
namespace {

// So many visits that begin with one of a version are one use of it: clients
// begin several streams at once.
constexpr uint64_t kVisitsOfUse = 8;

}  // namespace

void ClosingOrder::Opened(Entry& entry, uint64_t used_at) {
  ++open_;
  ++openings_;
  entry.used_at = used_at;
}

void ClosingOrder::SetHot(Entry& entry, bool hot) {
  if (entry.hot_ == hot) return;
  entry.hot_ = hot;
  if (hot) {
    hot_room_ += entry.room;
  } else {
    hot_room_ -= entry.room;
  }
}

bool ClosingOrder::BecomesHot(uint64_t before) {
  while (IsFullOfHot(limit_, hot_room_)) {
    if (hot_.empty() || before <= hot_.front()->used_at) return false;
    Entry& stalest = *hot_.front();
    hot_.pop_front();
    SetHot(stalest, false);
    // Among the first, as a rule: cold ones come and go.
    const auto next =
        std::find_if(cold_.begin(), cold_.end(), [&](const Entry* other) {
          return other->last_held > stalest.last_held;
        });
    stalest.place_ = cold_.insert(next, &stalest);
  }
  return true;
}

void ClosingOrder::CountUse(Entry& entry) {
  entry.counted_ = true;
  if (entry.counted_at_ != 0 && visits_ - entry.counted_at_ < kVisitsOfUse) {
    return;
  }
  const bool was_open = std::exchange(entry.counted_at_, visits_) != 0;
  const uint64_t before = std::exchange(entry.used_at, openings_);
  if (entry.hot_ || before == 0) return;
  if (!was_open && !IsSoon(openings_ - before, open_)) return;
  SetHot(entry, BecomesHot(before));
}

void ClosingOrder::Rest(Entry& entry, absl::Time now) {
  const bool used = std::exchange(entry.counted_, false);
  if (used) entry.used_at = openings_;
  if (used || entry.last_held == absl::InfinitePast()) entry.last_held = now;
  List& list = ListOf(entry);
  auto next = list.end();
  while (next != list.begin() &&
         (*std::prev(next))->last_held > entry.last_held) {
    --next;
  }
  entry.place_ = list.insert(next, &entry);
}

void ClosingOrder::Take(Entry& entry) { ListOf(entry).erase(entry.place_); }

void ClosingOrder::Closed(Entry& entry) {
  --open_;
  SetHot(entry, false);
}

ClosingOrder::Entry* ClosingOrder::Next() const {
  if (!cold_.empty()) return cold_.front();
  return hot_.empty() ? nullptr : hot_.front();
}

ClosingOrder::Entry* ClosingOrder::IdleSince(absl::Time time) const {
  for (const List* const list : {&cold_, &hot_}) {
    if (!list->empty() && list->front()->last_held <= time) {
      return list->front();
    }
  }
  return nullptr;
}

absl::Time ClosingOrder::idle_since() const {
  absl::Time since = absl::InfiniteFuture();
  for (const List* const list : {&cold_, &hot_}) {
    if (!list->empty()) since = std::min(since, list->front()->last_held);
  }
  return since;
}

}  // namespace timbre
