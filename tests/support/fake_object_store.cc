#include "tests/support/fake_object_store.h"

#include <algorithm>
#include <climits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/checksum.h"
#include "server/base/errors.h"
#include "server/base/file_system.h"
#include "server/base/status_macros.h"

namespace timbre::testing {
namespace {

constexpr size_t kPageSize = 1000;

absl::Status NotAnswered() {
  return MakeRetryableError(absl::StatusCode::kUnavailable, "STORE_UNAVAILABLE",
                            "no answer", absl::Seconds(1));
}

absl::Status NotKnown() {
  return MakeError(absl::StatusCode::kUnknown, "OUTCOME_UNKNOWN", "no answer");
}

absl::Status NoObject(const std::string& key) {
  return MakeError(absl::StatusCode::kNotFound, "NO_SUCH_OBJECT", key);
}

}  // namespace

void FakeObjectStore::SetFaults(Faults faults) {
  const MutexLock lock(mutex_);
  calls_ = 0;
  faults_ = std::move(faults);
}

int FakeObjectStore::calls() const {
  const MutexLock lock(mutex_);
  return calls_;
}

std::map<std::string, std::string> FakeObjectStore::Contents() const {
  const MutexLock lock(mutex_);
  return objects_;
}

void FakeObjectStore::ComeLate(int due) {
  for (const Late& late : std::exchange(late_, {})) {
    if (late.due > due) {
      late_.push_back(late);
    } else {
      PutLocked(late.key, late.bytes, late.condition).IgnoreError();
    }
  }
}

void FakeObjectStore::Settle() {
  const MutexLock lock(mutex_);
  ComeLate(INT_MAX);
}

Fault FakeObjectStore::Next(const std::string& key) {
  const int number = calls_++;
  ComeLate(number);
  return faults_ == nullptr ? Fault::kNone : faults_(number, key);
}

absl::StatusOr<std::string> FakeObjectStore::PutLocked(
    const std::string& key, const std::string& bytes,
    const Condition& condition) {
  const auto found = objects_.find(key);
  const bool there = found != objects_.end();
  if ((condition.kind == Condition::Kind::kAbsent && there) ||
      (condition.kind == Condition::Kind::kEtag &&
       (!there || DigestOf(found->second) != condition.etag))) {
    return absl::FailedPreconditionError("the condition does not hold");
  }
  objects_[key] = bytes;
  return DigestOf(bytes);
}

absl::StatusOr<std::string> FakeObjectStore::Put(const std::string& key,
                                                 absl::string_view bytes,
                                                 const Condition& condition,
                                                 const Patience&) {
  const MutexLock lock(mutex_);
  switch (Next(key)) {
    case Fault::kNotDone:
      return NotAnswered();
    case Fault::kNever:
      return NotKnown();
    case Fault::kLater:
      late_.push_back({calls_ + 1, key, std::string(bytes), condition});
      return NotKnown();
    case Fault::kDoneLost:
      PutLocked(key, std::string(bytes), condition).IgnoreError();
      return NotKnown();
    case Fault::kNone:
      break;
  }
  return PutLocked(key, std::string(bytes), condition);
}

absl::StatusOr<std::optional<Object>> FakeObjectStore::Get(
    const std::string& key, const std::string& known_etag, size_t max_bytes,
    const Patience&) {
  const MutexLock lock(mutex_);
  if (Next(key) != Fault::kNone) return NotAnswered();
  const auto found = objects_.find(key);
  if (found == objects_.end()) return NoObject(key);
  const std::string etag = DigestOf(found->second);
  if (etag == known_etag) return std::nullopt;
  if (found->second.size() > max_bytes) return absl::OutOfRangeError(key);
  return Object{.bytes = found->second, .etag = etag};
}

absl::Status FakeObjectStore::GetAll(std::span<const std::string> keys,
                                     size_t max_bytes, Each each,
                                     const Patience& patience) {
  for (size_t i = 0; i < keys.size(); ++i) {
    auto got = Get(keys[i], "", max_bytes, patience);
    TIMBRE_RETURN_IF_ERROR(got.ok() ? each(i, **std::move(got))
                                    : each(i, got.status()));
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> FakeObjectStore::Size(const std::string& key,
                                               const Patience&) {
  const MutexLock lock(mutex_);
  if (Next(key) != Fault::kNone) return NotAnswered();
  const auto found = objects_.find(key);
  if (found == objects_.end()) return NoObject(key);
  return found->second.size();
}

absl::Status FakeObjectStore::PutFile(const std::string& key,
                                      const std::string& path,
                                      const Patience&) {
  TIMBRE_ASSIGN_OR_RETURN(std::string contents, ReadFile(path));
  const MutexLock lock(mutex_);
  const Fault fault = Next(key);
  if (fault == Fault::kNone || fault == Fault::kDoneLost) {
    objects_[key] = std::move(contents);
  }
  return fault == Fault::kNone ? absl::OkStatus() : NotAnswered();
}

absl::Status FakeObjectStore::GetFile(const std::string& key, uint64_t bytes,
                                      Sink sink, const Patience&) {
  std::string contents;
  {
    const MutexLock lock(mutex_);
    if (Next(key) != Fault::kNone) return NotAnswered();
    const auto found = objects_.find(key);
    if (found == objects_.end()) return NoObject(key);
    contents = found->second;
  }
  if (contents.size() != bytes) return absl::DataLossError("another size");
  return sink(contents);
}

absl::StatusOr<ListedPage> FakeObjectStore::List(const std::string& prefix,
                                                 const std::string& next,
                                                 const Patience&) {
  const MutexLock lock(mutex_);
  if (Next(prefix) != Fault::kNone) return NotAnswered();
  ListedPage page;
  for (auto it = objects_.lower_bound(std::max(prefix, next));
       it != objects_.end() && absl::StartsWith(it->first, prefix); ++it) {
    if (page.objects.size() == kPageSize) {
      page.next = it->first;
      break;
    }
    page.objects.push_back({.key = it->first,
                            .etag = DigestOf(it->second),
                            .bytes = it->second.size()});
  }
  return page;
}

absl::Status FakeObjectStore::Delete(const std::string& key, const Patience&) {
  const MutexLock lock(mutex_);
  if (Next(key) != Fault::kNone) return NotAnswered();
  objects_.erase(key);
  return absl::OkStatus();
}

}  // namespace timbre::testing
