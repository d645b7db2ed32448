// The life of one version: what is known of it, and its open part.
//
//   closed   -> opening    there is room for it (memory_budget.h)
//            -> open       it was just published
//            -> damaged    so an opening that failed had found it
//   opening  -> open       its files were read
//            -> closed     they could not be read, which says nothing of them
//            -> damaged    the same, and damage was known before
//   open     -> idle       the last lease has gone
//            -> closing    the same, and it does not stay
//            -> damaged    the frames in memory are: it may be opened anew
//                          beside the streams that hold them
//   idle     -> open       a lease is wanted
//            -> closing    its room is wanted, or it does not stay any more
//            -> damaged    as above
//   closing  -> closed     it is unmapped: a version is in memory once
//            -> damaged    the same, and damage was known before
//   damaged  -> opening    it may have been repaired
//            -> closed     its files were compared, and are whole
//
// Deletion is no state: streams keep a deleted version open. It is the
// catalogue's entry that goes.
#ifndef TIMBRE_SERVER_CATALOG_OPEN_VERSION_LIFE_H_
#define TIMBRE_SERVER_CATALOG_OPEN_VERSION_LIFE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/mutex.h"
#include "server/base/thread_pool.h"
#include "server/catalog/open/file_check.h"
#include "server/catalog/open/lease.h"
#include "server/catalog/open/memory_budget.h"
#include "server/catalog/records/version_record.h"
#include "server/engine/search/speaker_index.h"

namespace timbre {

// What all versions of all voices share.
struct OpenVersions {
  std::shared_ptr<MemoryBudget> budget;
  std::shared_ptr<ThreadPool> reaper;  // unmaps
  std::atomic<int64_t> voices{0};      // with an open version
  std::atomic<int64_t> damaged{0};     // versions
};

// What the versions of one voice share.
struct OpenVoice {
  std::shared_ptr<OpenVersions> all;
  std::atomic<int> open{0};
};

// What a version takes while it is open: what it will hold at most, as is known
// before it is opened. It is the same again after a restart.
OpenRoom RoomOf(const VersionRecord& record);

// Thread-safe. Its lock is taken before the budget's and never held across a
// disk operation.
class VersionLife : public BudgetedVersion {
 public:
  enum class State : uint8_t {
    kClosed,
    kOpening,
    kOpen,
    kIdle,
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
    std::shared_ptr<const VersionRecord> record;  // of an open one, else null
    absl::Status damage;                          // DATA_LOSS, or OK
    // Streams may search it, and it has no damage.
    bool open() const {
      return damage.ok() && (state == State::kOpen || state == State::kIdle);
    }
  };

  explicit VersionLife(std::shared_ptr<OpenVoice> voice);
  ~VersionLife() override;

  View Look() const;

  // A lease if it is open, else null; also where its frames were found to be
  // damaged, or it is beside the budget and the caller may fail for that. Looks
  // at no page.
  Lease Find(MemoryBudget::Visit& visit, bool may_fail = true);

  // A lease of what `reader` finds, in the room that `charge` has reserved. One
  // at a time: a charge is given to nobody while there is one. Waits for the
  // disk. An error of `reader` leaves it closed: see SayDamaged.
  absl::StatusOr<Lease> Open(ChargePtr charge, MemoryBudget::Visit& visit,
                             Reader reader);
  // What was just built is open from the beginning.
  Lease Publish(Read built, ChargePtr charge, MemoryBudget::Visit& visit);
  // Whether it stays open when nobody holds it: an active version does.
  void KeepOpen(bool keep);

  // The DATA_LOSS with which Open failed is about this version.
  void SayDamaged(const absl::Status& damage);
  // Has it closed if its frames in memory are damaged: it may be opened anew.
  void DropDamaged();
  // Its files were compared and are damaged, DATA_LOSS: also what is open of
  // it from now on, whatever the map of it can tell. An opening under way
  // fails.
  void SayFilesDamaged(const absl::Status& damage);
  // Whoever reads `file`, its frames, beside what is open is told of what is
  // found from now on (MappedFile::SayDamaged). DATA_LOSS: damage is known.
  absl::Status TellReader(std::shared_ptr<const MappedFile> file);
  // They were compared and are whole.
  void SayFilesWhole();
  FileCheck& check() { return check_; }

  // Has `commit` write what takes the place of the record, and lets leases have
  // `record` from then on; no opening in between, which would bring the one
  // from before. An error of `commit` other than UNKNOWN (OUTCOME_UNKNOWN:
  // written) changes nothing. Waits for the disk.
  absl::Status ReplaceRecord(std::shared_ptr<const VersionRecord> record,
                             absl::FunctionRef<absl::Status()> commit);

  void Close() override;

 private:
  using IndexPtr = std::shared_ptr<const SpeakerIndex>;
  // What is open; its last owner hands it to the reaper.
  struct OpenIndex {
    ChargePtr charge;
    std::unique_ptr<const SpeakerIndex> index;
  };
  using OpenPtr = std::shared_ptr<OpenIndex>;

  std::shared_ptr<VersionLife> Self() {
    return std::static_pointer_cast<VersionLife>(shared_from_this());
  }
  MemoryBudget& budget() const { return *voice_->all->budget; }
  void Become(State state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What it is where nothing is open: closed or damaged.
  State Resting() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SetDamage(absl::Status damage) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Lease Opened(Read read, ChargePtr charge, MemoryBudget::Visit& visit)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  OpenPtr MakeOpen(std::unique_ptr<const SpeakerIndex> index, ChargePtr charge);
  // Of what is open and charged to its streams.
  Lease MakeLease() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Released(const OpenPtr& open);
  void Unmapped(const OpenIndex* open);
  // What is open and held by nobody goes with what this returns.
  OpenPtr StartClosing() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Where something is open: streams keep it, and nobody else gets it any more.
  OpenPtr Drop(absl::Status damage) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::shared_ptr<OpenVoice> voice_;

  // Openings and replacements of the record; held across disk operations.
  // Taken before mutex_.
  Mutex opening_mutex_;

  FileCheck check_;

  mutable Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kClosed;
  absl::Status damage_ ABSL_GUARDED_BY(mutex_);
  // By comparing files, since the last opening began.
  absl::Status found_meanwhile_ ABSL_GUARDED_BY(mutex_);
  // While it is open or idle:
  OpenPtr open_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const VersionRecord> record_ ABSL_GUARDED_BY(mutex_);
  // What is being unmapped.
  const OpenIndex* closing_ ABSL_GUARDED_BY(mutex_) = nullptr;
  // What streams hold; the end of the last one calls Released.
  std::weak_ptr<const SpeakerIndex> held_ ABSL_GUARDED_BY(mutex_);
  std::weak_ptr<const LoadedVersion> lease_ ABSL_GUARDED_BY(mutex_);
  bool keep_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::weak_ptr<const MappedFile>> readers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_OPEN_VERSION_LIFE_H_
