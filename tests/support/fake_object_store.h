// An object store in memory that fails as it is told.
#ifndef TIMBRE_TESTS_SUPPORT_FAKE_OBJECT_STORE_H_
#define TIMBRE_TESTS_SUPPORT_FAKE_OBJECT_STORE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "server/base/mutex.h"
#include "server/objects/object_store.h"

namespace timbre::testing {

// What becomes of one call.
enum class Fault : uint8_t {
  kNone,
  kNotDone,   // it never came: UNAVAILABLE
  kDoneLost,  // done, and the answer was lost
  kLater,     // a Put: no answer, tried after the next call of anybody
  kNever,     // no answer, and never done
};

// Thread-safe. ETags are those of S3: equal bytes have equal ones.
class FakeObjectStore : public ObjectStore {
 public:
  // Of the `number`th call from 0, a read or a write of `key`; null: no faults.
  using Faults = std::function<Fault(int number, const std::string& key)>;
  void SetFaults(Faults faults);
  int calls() const;
  // As they are in the bucket.
  std::map<std::string, std::string> Contents() const;
  // What is late comes now.
  void Settle();

  absl::StatusOr<std::string> Put(const std::string& key,
                                  absl::string_view bytes,
                                  const Condition& condition,
                                  const Patience& patience) override;
  absl::StatusOr<std::optional<Object>> Get(const std::string& key,
                                            const std::string& known_etag,
                                            size_t max_bytes,
                                            const Patience& patience) override;
  absl::Status GetAll(std::span<const std::string> keys, size_t max_bytes,
                      Each each, const Patience& patience) override;
  absl::StatusOr<uint64_t> Size(const std::string& key,
                                const Patience& patience) override;
  absl::Status PutFile(const std::string& key, const std::string& path,
                       const Patience& patience) override;
  absl::Status GetFile(const std::string& key, uint64_t bytes, Sink sink,
                       const Patience& patience) override;
  absl::StatusOr<ListedPage> List(const std::string& prefix,
                                  const std::string& next,
                                  const Patience& patience) override;
  absl::Status Delete(const std::string& key,
                      const Patience& patience) override;

 private:
  void ComeLate(int due) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What the next call meets.
  Fault Next(const std::string& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<std::string> PutLocked(const std::string& key,
                                        const std::string& bytes,
                                        const Condition& condition)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  struct Late {
    int due = 0;  // before the call of this number
    std::string key;
    std::string bytes;
    Condition condition;
  };

  mutable Mutex mutex_;
  Faults faults_ ABSL_GUARDED_BY(mutex_);
  int calls_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, std::string> objects_ ABSL_GUARDED_BY(mutex_);
  std::vector<Late> late_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace timbre::testing

#endif  // TIMBRE_TESTS_SUPPORT_FAKE_OBJECT_STORE_H_
