// Objects of a bucket: small ones that change under conditions, and large ones
// that never do. What the catalogue needs of S3, and no more; tests put their
// own in its place.
#ifndef TIMBRE_SERVER_OBJECTS_OBJECT_STORE_H_
#define TIMBRE_SERVER_OBJECTS_OBJECT_STORE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace timbre {

// How long somebody waits.
struct Patience {
  absl::Time deadline = absl::InfiniteFuture();  // MonotonicNow
  // Null, or whether nobody waits any more. Quick; called now and then, by
  // other threads too.
  std::function<bool()> cancelled;

  bool IsOver(absl::Time now) const {
    return now >= deadline || (cancelled != nullptr && cancelled());
  }
};

// What must be true of an object for it to be written.
struct Condition {
  enum class Kind : uint8_t { kNone, kAbsent, kEtag };
  static Condition None() { return {}; }
  static Condition Absent() { return {.kind = Kind::kAbsent, .etag = ""}; }
  static Condition Etag(std::string etag) {
    return {.kind = Kind::kEtag, .etag = std::move(etag)};
  }

  Kind kind = Kind::kNone;
  std::string etag;
};

struct Object {
  std::string bytes;
  std::string etag;  // without quotes; equal bytes may have equal ones
};

struct ListedObject {
  std::string key;
  std::string etag;
  uint64_t bytes = 0;
};

struct ListedPage {
  std::vector<ListedObject> objects;  // in the order of their keys
  std::string next;                   // names the next page; empty: the last
};

// Thread-safe; the functions wait for the network. Keys are relative to the
// store's prefix. Errors of all of them:
//
//   UNAVAILABLE (STORE_UNAVAILABLE, with a retry hint): not answered, or not
//       in time; a write was not done
//   UNKNOWN (OUTCOME_UNKNOWN): a write under a condition was sent, and may have
//       been done, now or later
//   CANCELLED: nobody waits any more; a write may have been done
//   PERMISSION_DENIED (STORE_DENIED), NOT_FOUND (NO_SUCH_BUCKET)
//   INTERNAL (STORE_ERROR): it answered what nobody understands
//
// What failed is repeated within the caller's patience and the store's own
// time-out, with the same bytes under the same condition.
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  // Writes a small object whole; its ETag. FAILED_PRECONDITION: the condition
  // does not hold. It may be that of an earlier attempt of this very call which
  // was thought lost: a writer puts something of its own into the bytes, and
  // reads the object again.
  virtual absl::StatusOr<std::string> Put(const std::string& key,
                                          absl::string_view bytes,
                                          const Condition& condition,
                                          const Patience& patience) = 0;
  // Nothing: its ETag still is `known_etag`. NOT_FOUND (NO_SUCH_OBJECT).
  // OUT_OF_RANGE: it has more than `max_bytes`.
  virtual absl::StatusOr<std::optional<Object>> Get(
      const std::string& key, const std::string& known_etag, size_t max_bytes,
      const Patience& patience) = 0;
  // Gets many, some dozens at once; `each` is told in their order, by this
  // thread. Errors of `each` end it and pass.
  using Each = absl::FunctionRef<absl::Status(size_t, absl::StatusOr<Object>)>;
  virtual absl::Status GetAll(std::span<const std::string> keys,
                              size_t max_bytes, Each each,
                              const Patience& patience) = 0;
  // NOT_FOUND (NO_SUCH_OBJECT).
  virtual absl::StatusOr<uint64_t> Size(const std::string& key,
                                        const Patience& patience) = 0;

  // Writes the file at `path` under a key that nobody else uses. Given up when
  // no byte has moved for the store's time-out.
  virtual absl::Status PutFile(const std::string& key, const std::string& path,
                               const Patience& patience) = 0;
  // Hands an object of `bytes` bytes to `sink` in order, piece by piece, by
  // this thread; errors of `sink` pass. NOT_FOUND (NO_SUCH_OBJECT), DATA_LOSS:
  // it has another size. Given up as above.
  using Sink = absl::FunctionRef<absl::Status(absl::string_view)>;
  virtual absl::Status GetFile(const std::string& key, uint64_t bytes,
                               Sink sink, const Patience& patience) = 0;

  // Up to 1,000 objects whose keys begin with `prefix`: the first ones, or
  // those of the page that `next` names.
  virtual absl::StatusOr<ListedPage> List(const std::string& prefix,
                                          const std::string& next,
                                          const Patience& patience) = 0;
  // OK also where there is none.
  virtual absl::Status Delete(const std::string& key,
                              const Patience& patience) = 0;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_OBJECTS_OBJECT_STORE_H_
