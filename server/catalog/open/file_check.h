// What comparing the files of one version with their digests has found.
#ifndef TIMBRE_SERVER_CATALOG_OPEN_FILE_CHECK_H_
#define TIMBRE_SERVER_CATALOG_OPEN_FILE_CHECK_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"

namespace timbre {

// Damage that only a digest finds outlives an opening, which looks at sizes: it
// holds until the files were compared anew and fit. Takes some bytes where
// nothing is damaged. Thread-safe; its lock is held for moments.
class FileCheck {
 public:
  // Files that are damaged: what was found, and when they were like that.
  struct Damage {
    absl::Status status;  // DATA_LOSS
    uint64_t stamp = 0;   // StampOfFiles, from before they were read
  };

  // Counts as compared at `since` (MonotonicNow): there is no older age.
  explicit FileCheck(absl::Time since) : compared_(since) {}

  // What SayWhole did.
  enum class Whole : uint8_t {
    kAsBefore,
    kNews,   // they were damaged before
    kStale,  // nothing: damage was found since that comparison began
  };
  // They were compared at `now` and fit; `findings` is what it was before they
  // were read.
  Whole SayWhole(absl::Time now, uint64_t findings) {
    const MutexLock lock(mutex_);
    if (findings != findings_) return Whole::kStale;
    compared_ = now;
    return std::exchange(damage_, nullptr) != nullptr ? Whole::kNews
                                                      : Whole::kAsBefore;
  }
  // They were compared at `now` and do not fit: whether that is news.
  bool SayDamaged(Damage damage, absl::Time now) {
    const MutexLock lock(mutex_);
    compared_ = now;
    ++findings_;
    auto found = std::make_unique<const Damage>(std::move(damage));
    return std::exchange(damage_, std::move(found)) == nullptr;
  }

  std::optional<Damage> damage() const {
    const MutexLock lock(mutex_);
    return damage_ == nullptr ? std::nullopt : std::optional(*damage_);
  }
  // How often damage was found.
  uint64_t findings() const {
    const MutexLock lock(mutex_);
    return findings_;
  }
  absl::Time compared() const {
    const MutexLock lock(mutex_);
    return compared_;
  }

 private:
  mutable Mutex mutex_;
  absl::Time compared_ ABSL_GUARDED_BY(mutex_);
  uint64_t findings_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unique_ptr<const Damage> damage_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_OPEN_FILE_CHECK_H_
