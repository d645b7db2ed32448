// The life of one version: what is known of it, and its open part.
//
//   closed   -> reserved   somebody wants it
//            -> open       it was just published
//            -> damaged    so an opening that failed had found it
//   reserved -> opening    what was open before is unmapped: a version is in
//                          memory once
//   opening  -> open       its files were read
//            -> closed     they could not be read, which says nothing of them
//            -> damaged    the same, and damage was known before
//   open     -> closing    the last lease has gone; nobody has to say so
//            -> reserved   the frames in memory are damaged: it is opened anew
//                          beside the streams that hold them, since it may have
//                          been repaired
//   closing  -> closed     it is unmapped
//            -> damaged    the same, and damage was known before
//            -> reserved   it is wanted again
//   damaged  -> reserved   it is wanted again: it may have been repaired
//
// Deletion is no state: streams keep a deleted version open. It is the
// catalogue's entry that goes.
#ifndef TIMBRE_SERVER_CATALOG_OPEN_VERSION_LIFE_H_
#define TIMBRE_SERVER_CATALOG_OPEN_VERSION_LIFE_H_

#include <condition_variable>
#include <cstdint>
#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/mutex.h"
#include "server/base/thread_pool.h"
#include "server/catalog/open/lease.h"
#include "server/catalog/records/version_record.h"
#include "server/engine/search/speaker_index.h"

namespace timbre {

// Held by shared pointers alone. Thread-safe; its lock is taken last but for
// the reaper's, and never held across a disk operation.
class VersionLife : public std::enable_shared_from_this<VersionLife> {
 public:
  enum class State : uint8_t {
    kClosed,
    kReserved,
    kOpening,
    kOpen,
    kClosing,
    kDamaged
  };
  // Whether the table above has it.
  static bool CanBecome(State from, State to);

  // What a reader of the files found.
  struct Read {
    std::shared_ptr<const VersionRecord> record;
    std::unique_ptr<const SpeakerIndex> index;
  };
  using Reader = absl::FunctionRef<absl::StatusOr<Read>()>;

  // What is to be seen at one moment.
  struct View {
    State state = State::kClosed;
    // Null: the manifest could not be read.
    std::shared_ptr<const VersionRecord> record;
    // DATA_LOSS; others: it could not be read; OK while it is open.
    absl::Status damage;
    bool damaged = false;  // also where it was found in what is mapped
    uint64_t resident_bytes = 0;
  };

  // Closed, or damaged, as its manifest was found. `reaper` unmaps.
  VersionLife(absl::StatusOr<VersionRecord> found,
              std::shared_ptr<ThreadPool> reaper);
  VersionLife(const VersionLife&) = delete;
  VersionLife& operator=(const VersionLife&) = delete;

  View Look() const;
  // The manifest could not be read, which says nothing about the files.
  bool NotRead() const;
  // It was read again: counts where NotRead.
  void ReadAgain(absl::StatusOr<VersionRecord> found);

  // A lease if it is open, else null; also where its frames were found to be
  // damaged. Looks at no page.
  Lease Find();

  // A lease; where it is not open, or its frames in memory are damaged, of what
  // `reader` finds. One at a time; waits for the disk. An error of `reader`
  // leaves it closed: see SayDamaged.
  absl::StatusOr<Lease> Open(Reader reader);
  // What was just built is open from the beginning.
  Lease Publish(Read built);
  // An active version stays open, another one while somebody holds it.
  void KeepOpen(bool keep);
  // The DATA_LOSS with which Open failed is about this version.
  void SayDamaged(const absl::Status& damage);
  // Its files were compared and are damaged, DATA_LOSS: also what is open of
  // it from now on, whatever the map of it can tell. Not what an opening under
  // way is about to open.
  void SayFilesDamaged(const absl::Status& damage);

  // Has `commit` write what takes the place of the record, and lets leases have
  // `record` from then on; no opening in between, which would bring the one
  // from before. `lease` holds it open. An error of `commit` other than UNKNOWN
  // (OUTCOME_UNKNOWN: written) changes nothing. Waits for the disk.
  absl::Status ReplaceRecord(const Lease& lease,
                             std::shared_ptr<const VersionRecord> record,
                             absl::FunctionRef<absl::Status()> commit);

 private:
  using IndexPtr = std::shared_ptr<const SpeakerIndex>;

  bool NotReadLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !damage_.ok() && !absl::IsDataLoss(damage_);
  }
  State StateNow() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Become(State state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Of what is open, with the record of now; null: nothing is.
  Lease LeaseOf(IndexPtr index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What it is where nothing is open: closed or damaged.
  State Resting() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Lease Opened(Read read) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whose last owner has the reaper unmap it.
  IndexPtr Shared(std::unique_ptr<const SpeakerIndex> index)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Unmapped(uint64_t opening);

  const std::shared_ptr<ThreadPool> reaper_;

  // Openings and replacements of the record, one at a time; held across disk
  // operations. Taken before mutex_.
  Mutex opening_mutex_;

  mutable Mutex mutex_;
  std::condition_variable unmapped_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kClosed;
  std::shared_ptr<const VersionRecord> record_ ABSL_GUARDED_BY(mutex_);
  absl::Status damage_ ABSL_GUARDED_BY(mutex_);
  // Nobody is the last owner of what is pointed to while mutex_ is held: it is
  // the reaper that ends it, whoever lets it go.
  std::weak_ptr<const SpeakerIndex> index_ ABSL_GUARDED_BY(mutex_);
  std::weak_ptr<const LoadedVersion> lease_ ABSL_GUARDED_BY(mutex_);
  Lease kept_ ABSL_GUARDED_BY(mutex_);
  uint64_t opening_ ABSL_GUARDED_BY(mutex_) = 0;  // counts them
  // The last one whose index was unmapped.
  uint64_t unmapped_opening_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_OPEN_VERSION_LIFE_H_
