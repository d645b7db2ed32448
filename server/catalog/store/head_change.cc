#include "server/catalog/store/head_change.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/errors.h"
#include "server/base/monotonic_clock.h"
#include "server/base/random_id.h"
#include "server/base/status_macros.h"

namespace timbre {
namespace {

// Between two attempts to find out what became of a write.
constexpr absl::Duration kSettlePause = absl::Milliseconds(20);
constexpr absl::Duration kContentionPause = absl::Milliseconds(1);

absl::Status NotSettled(const std::string& speaker,
                        const absl::Status& because) {
  return MakeError(
      absl::StatusCode::kUnknown, "OUTCOME_UNKNOWN",
      absl::StrCat(
          "voice \"", speaker,
          "\": whether the change was made is not known: ", because.message()));
}

}  // namespace

std::string HeadKey(absl::string_view speaker) {
  return absl::StrCat(kHeadsPrefix, speaker);
}

absl::StatusOr<KnownHead> ReadHead(ObjectStore& store,
                                   const std::string& speaker,
                                   const Patience& patience) {
  const auto got = store.Get(HeadKey(speaker), "", kMaxHeadBytes, patience);
  if (DetailsOf(got.status()).reason == "NO_SUCH_OBJECT") {
    return KnownHead{.head = EmptyHead(speaker), .etag = ""};
  }
  TIMBRE_RETURN_IF_ERROR(got.status());
  TIMBRE_ASSIGN_OR_RETURN(storage::Head head,
                          ParseHead((*got)->bytes, speaker));
  return KnownHead{.head = std::move(head), .etag = (*got)->etag};
}

absl::StatusOr<ChangedHead> ChangeHead(ObjectStore& store,
                                       const std::string& speaker,
                                       HeadChange change,
                                       const Patience& patience) {
  Wish wish{.nonce = RandomBytes(), .change = std::move(change)};
  // Of a write whose answer was lost: it may come yet. What is written over the
  // same head, under the same nonce, makes it fail or fails by it.
  absl::Status lost;
  while (true) {
    const absl::StatusOr<KnownHead> known = ReadHead(store, speaker, patience);
    if (!known.ok()) {
      if (lost.ok()) return known.status();
      if (patience.IsOver(MonotonicNow() + kSettlePause)) {
        return NotSettled(speaker, known.status());
      }
      absl::SleepFor(kSettlePause);
      continue;
    }
    TIMBRE_ASSIGN_OR_RETURN(Granted granted, Grant(known->head, wish));
    if (!granted.changed) {
      return ChangedHead{
          .now = *known, .changed = !lost.ok(), .number = granted.number};
    }
    // Over a head that is no more nothing is written: it was not done.
    if (!lost.ok() && known->head.changes() != *wish.sent_over) {
      lost = absl::OkStatus();
      wish.sent_over.reset();
    }
    const Condition condition = known->etag.empty()
                                    ? Condition::Absent()
                                    : Condition::Etag(known->etag);
    const auto put = store.Put(HeadKey(speaker), SerializeHead(granted.head),
                               condition, patience);
    if (put.ok()) {
      return ChangedHead{.now = {std::move(granted.head), *put},
                         .changed = true,
                         .number = granted.number};
    }
    if (absl::IsFailedPrecondition(put.status())) {
      // Somebody has written: the head says who, and does not wait for this.
      absl::SleepFor(kContentionPause);
    } else if (absl::IsUnknown(put.status())) {
      if (lost.ok()) wish.sent_over = known->head.changes();
      lost = put.status();
    } else if (lost.ok()) {
      return put.status();
    } else {
      absl::SleepFor(kSettlePause);
    }
    if (patience.IsOver(MonotonicNow())) {
      return NotSettled(speaker, lost.ok() ? put.status() : lost);
    }
  }
}

}  // namespace timbre
