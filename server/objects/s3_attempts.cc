// How often, and how long, S3Store tries.
#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/errors.h"
#include "server/base/monotonic_clock.h"
#include "server/base/mutex.h"
#include "server/base/semaphore.h"
#include "server/base/status_macros.h"
#include "server/objects/s3_store.h"

namespace timbre {
namespace {

using Kind = S3Outcome::Kind;

constexpr int kMaxAttempts = 5;
constexpr absl::Duration kFirstPause = absl::Milliseconds(20);
constexpr absl::Duration kRetryAfter = absl::Seconds(1);
// Between two looks at whether anybody still waits.
constexpr absl::Duration kLookEvery = absl::Milliseconds(20);

// Doubled each time, by chance between half and all of it: servers that failed
// together do not come back together.
absl::Duration PauseAfter(int attempt) {
  thread_local std::minstd_rand random(std::random_device{}());
  const absl::Duration all = kFirstPause * (1 << attempt);
  return all * std::uniform_real_distribution<double>(0.5, 1)(random);
}

// False: nobody waits that long.
bool Pause(absl::Duration pause, const Patience& patience) {
  const absl::Time end = MonotonicNow() + pause;
  while (true) {
    const absl::Time now = MonotonicNow();
    if (patience.IsOver(now)) return false;
    if (now >= end) return true;
    absl::SleepFor(std::min({end - now, kLookEvery, patience.deadline - now}));
  }
}

}  // namespace

Patience S3Store::Bounded(const S3Call& call, const Patience& patience) const {
  Patience bounded = patience;
  if (!call.bulk) {
    bounded.deadline =
        std::min(bounded.deadline, MonotonicNow() + options_.timeout);
  }
  return bounded;
}

absl::Status S3Store::NotDone(const absl::Status& last,
                              bool may_be_done) const {
  if (may_be_done) {
    return MakeError(absl::StatusCode::kUnknown, "OUTCOME_UNKNOWN",
                     last.message());
  }
  return MakeRetryableError(absl::StatusCode::kUnavailable, "STORE_UNAVAILABLE",
                            last.message(), kRetryAfter);
}

void S3Store::Begin(const S3Call& call, const Patience& patience,
                    std::function<void(S3Outcome)> ended) {
  if (!availability_.MayTry(MonotonicNow())) {
    const absl::Status why = availability_.why();
    return ended({.kind = Kind::kRefused,
                  .answer = {},
                  .error = NotDone(why.ok() ? absl::UnavailableError(
                                                  "the object store is away")
                                            : why,
                                   false)});
  }
  auto credentials = credentials_.Get(patience);
  if (!credentials.ok()) {
    const absl::Status& error = credentials.status();
    const bool again = absl::IsUnavailable(error);
    if (again) availability_.Failed(error, MonotonicNow());
    if (!again) availability_.GivenUp();
    return ended({.kind = again                      ? Kind::kFailed
                          : absl::IsCancelled(error) ? Kind::kGivenUp
                                                     : Kind::kRefused,
                  .answer = {},
                  .error = error});
  }
  HttpRequest request = SignedRequest(call, options_.target, *credentials);
  if (call.bulk) request.stall_timeout = options_.timeout;
  http_->Start(std::move(request), patience,
               [this, call, signed_by = *std::move(credentials),
                ended = std::move(ended)](absl::StatusOr<HttpAnswer> answer) {
                 S3Outcome outcome = Understand(call, std::move(answer));
                 if (outcome.kind == Kind::kFailed) {
                   availability_.Failed(outcome.error, MonotonicNow());
                 } else if (outcome.kind == Kind::kGivenUp) {
                   availability_.GivenUp();
                 } else {
                   availability_.Answered();
                 }
                 if (outcome.kind == Kind::kExpired)
                   credentials_.Expired(signed_by);
                 ended(std::move(outcome));
               });
}

S3Outcome S3Store::Try(const S3Call& call, const Patience& patience) {
  S3Outcome outcome;
  Semaphore done;
  Begin(call, patience, [&](S3Outcome got) {
    outcome = std::move(got);
    done.Post();
  });
  done.Wait();
  return outcome;
}

absl::StatusOr<HttpAnswer> S3Store::Do(const S3Call& call,
                                       const Patience& patience,
                                       S3Outcome* first) {
  const Patience bounded = Bounded(call, patience);
  if (first == nullptr && bounded.IsOver(MonotonicNow())) {
    return NotDone(absl::UnavailableError("no time is left"), false);
  }
  bool may_be_done = false;
  bool expired = false;
  for (int attempt = 0;; ++attempt) {
    S3Outcome outcome = attempt == 0 && first != nullptr ? std::move(*first)
                                                         : Try(call, bounded);
    may_be_done |= outcome.may_be_done;
    switch (outcome.kind) {
      case Kind::kAnswer:
        return std::move(outcome.answer);
      case Kind::kGivenUp:
        return outcome.error;
      case Kind::kRefused:
        // Of an attempt before this one nobody knows.
        return may_be_done ? NotDone(outcome.error, true) : outcome.error;
      case Kind::kExpired:
        if (!std::exchange(expired, true)) continue;
        return may_be_done ? NotDone(outcome.error, true) : outcome.error;
      case Kind::kFailed:
        break;
    }
    if (attempt + 1 >= kMaxAttempts || !Pause(PauseAfter(attempt), bounded)) {
      return NotDone(outcome.error, may_be_done);
    }
  }
}

absl::Status S3Store::DoAll(size_t count, size_t at_once, Make make, Take take,
                            const Patience& patience) {
  struct Shared {
    std::optional<S3Outcome> Take(size_t i) {
      const MutexLock lock(mutex);
      const auto found = ended.find(i);
      if (found == ended.end()) return std::nullopt;
      S3Outcome outcome = std::move(found->second);
      ended.erase(found);
      return outcome;
    }

    Mutex mutex;
    std::map<size_t, S3Outcome> ended ABSL_GUARDED_BY(mutex);
    std::atomic<bool> over = false;
    Semaphore some;
  };
  const auto shared = std::make_shared<Shared>();
  Patience of_all = patience;
  of_all.cancelled = [shared, cancelled = patience.cancelled] {
    return shared->over || (cancelled != nullptr && cancelled());
  };
  std::map<size_t, S3Call> calls;
  size_t next = 0;
  size_t running = 0;
  const auto begin_some = [&]() -> absl::Status {
    while (next < count && calls.size() < at_once) {
      TIMBRE_ASSIGN_OR_RETURN(S3Call call, make(next));
      const S3Call& kept = calls.emplace(next, std::move(call)).first->second;
      ++running;
      Begin(kept, Bounded(kept, of_all), [shared, i = next](S3Outcome got) {
        {
          const MutexLock lock(shared->mutex);
          shared->ended.emplace(i, std::move(got));
        }
        shared->some.Post();
      });
      ++next;
    }
    return absl::OkStatus();
  };
  absl::Status status;
  for (size_t i = 0; i < count && status.ok(); ++i) {
    status = begin_some();
    std::optional<S3Outcome> outcome;
    while (status.ok() && !(outcome = shared->Take(i))) {
      shared->some.Wait();
      --running;
    }
    if (!status.ok()) break;
    status = take(i, Do(calls.at(i), patience, &*outcome));
    calls.erase(i);
  }
  // What was begun refers to `calls`.
  shared->over = true;
  for (; running > 0; --running) shared->some.Wait();
  return status;
}

}  // namespace timbre
