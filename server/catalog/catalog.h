// All voices: which versions exist, which is active, which are open.
//
// A version is staged, verified, synced and published by rename; from then on
// it never changes. The catalog is the only writer of the data directory.
#ifndef TIMBRE_SERVER_CATALOG_CATALOG_H_
#define TIMBRE_SERVER_CATALOG_CATALOG_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/base/file_system.h"
#include "server/base/mutex.h"
#include "server/catalog/open/lease.h"
#include "server/catalog/open/memory_budget.h"
#include "server/catalog/records/version_record.h"
#include "server/catalog/speaker_entry.h"
#include "server/catalog/store/directory_store.h"
#include "server/catalog/store/staging.h"
#include "server/catalog/stored_version.h"
#include "server/kernels/kernels.h"

namespace timbre {

struct CatalogOptions {
  std::string data_dir;
  // Published versions of a speaker that are kept, the active one included;
  // the oldest inactive ones beyond it are deleted after a Build. 0: all.
  uint32_t keep_versions = 0;
  const KernelTable* kernels = nullptr;
  // How much open versions may hold.
  MemoryBudget::Options budget;
  // Outlives the catalog.
  FileSystem* files = &FileSystem::Posix();
};

struct VersionInfo {
  uint64_t version = 0;
  std::shared_ptr<const VersionRecord> record;  // null: manifest unreadable
  absl::Status damage;  // DATA_LOSS; others: could not be read; or OK
  absl::Status fits;    // VERSION_TOO_LARGE: it cannot be opened; or OK
  bool active = false;
  bool loaded = false;
};

struct SpeakerInfo {
  std::string speaker;
  uint64_t active_version = 0;  // 0: none
  std::vector<VersionInfo> versions;
};

struct CatalogStats {
  uint64_t speakers = 0;          // with a version
  uint64_t speakers_loaded = 0;   // with an open version
  uint64_t versions_damaged = 0;  // as far as is known
  MemoryBudget::Totals budget;
};

// The frames of a version without its index. Outside of the budget: it takes a
// mapping and nothing else. Damage that is found meanwhile is told by the
// store.
struct StoredFrames {
  std::shared_ptr<const VersionRecord> record;
  std::shared_ptr<const FrameStore> store;
};

// Thread-safe. Functions that may read or write the disk say so; the others
// take locks that are never held across a disk operation or a system call.
class Catalog {
 public:
  // Claims the directory (data_directory.h), locks it, removes what killed
  // builds left, and completes what was half published. Reads no manifest but
  // for that: damage shows when a version is asked for. FAILED_PRECONDITION if
  // it is not one of Timbre's, or another server has it. A voice that cannot be
  // read costs that voice: it is read again when somebody asks for it.
  static absl::StatusOr<std::unique_ptr<Catalog>> Open(CatalogOptions options);
  ~Catalog();

  // Versions of speakers, all of them or none; in the order of `voices`. Opens
  // them if need be (disk), in the order in which callers come, and waits for
  // room (see MemoryBudget::Reserve, whose errors and `cancelled` these are).
  // `visit` has taken nothing, and is not counted by these.
  // NOT_FOUND, FAILED_PRECONDITION (no active version), DATA_LOSS; other errors
  // of file_error.h pass, and are not remembered. A version that is being
  // deleted is there or NOT_FOUND, never damaged.
  absl::StatusOr<std::vector<Lease>> AcquireAll(
      std::span<const VoiceName> voices, MemoryBudget::Visit& visit,
      const MemoryBudget::Cancelled& cancelled);
  absl::StatusOr<Lease> Acquire(const std::string& speaker, uint64_t version);
  // The same if all are open already, and `good`, else none.
  std::vector<Lease> FindAllLoaded(
      std::span<const VoiceName> voices, MemoryBudget::Visit& visit,
      absl::FunctionRef<bool(const LoadedVersion&)> good);
  // The same without the index (disk).
  absl::StatusOr<StoredFrames> OpenFrames(
      const VoiceName& voice, const MemoryBudget::Cancelled& cancelled);

  // `status`, that of reading files of `version`; NOT_FOUND if that was deleted
  // meanwhile.
  absl::Status WhyUnreadable(const VersionRecord& version,
                             const absl::Status& status);
  // Its frames could not be read: whoever wants it next opens it anew. Takes
  // short locks.
  void DropDamaged(const LoadedVersion& version);

  // NOT_FOUND for a speaker without versions. Reads the manifests of what is
  // not open (disk), like List.
  absl::StatusOr<SpeakerInfo> GetSpeaker(const std::string& speaker);
  // Up to `limit` speakers in the order of their names, after `after`, whose
  // names begin with `prefix`; with their active versions alone.
  std::vector<SpeakerInfo> List(absl::string_view prefix,
                                absl::string_view after, size_t limit);

  // These write to the disk and are durable when they return OK. An error has
  // changed nothing, except UNKNOWN OUTCOME_UNKNOWN: the change is there, as
  // everybody sees it, but may be gone after a power cut.
  absl::StatusOr<SpeakerInfo> ActivateVersion(const std::string& speaker,
                                              uint64_t version);
  // FAILED_PRECONDITION for the active version.
  absl::StatusOr<SpeakerInfo> DeleteVersion(const std::string& speaker,
                                            uint64_t version);
  absl::Status DeleteSpeaker(const std::string& speaker);

  // Replaces what was measured of the version that `lease` holds, and its
  // defaults (disk). Streams keep the ones that they began with. ABORTED if the
  // version was deleted meanwhile.
  absl::Status ApplyTuning(const Lease& lease, const Tuning& tuning);

  // A place for a new version of `speaker` (disk).
  absl::StatusOr<std::unique_ptr<Staging>> Stage(const std::string& speaker);

  // The version that a Build with this request_id has published, if any; it is
  // on the disk then (which may write it).
  absl::StatusOr<std::optional<VersionInfo>> FindRequest(
      const std::string& speaker, const std::string& request_id);

  // Completes `manifest` (files, digests, version) from what lies in the
  // staging directory, reopens and verifies it, and publishes it (disk). With
  // a request_id that was published meanwhile: that version. ABORTED if the
  // speaker was deleted since Stage, CANCELLED if `cancelled` says so before
  // the rename. On error nothing is left behind; but see above of UNKNOWN.
  absl::StatusOr<VersionInfo> Publish(Staging& staging,
                                      storage::Manifest manifest,
                                      const std::function<bool()>& cancelled);

  CatalogStats Stats();

  // Comparing stored files with their digests: catalog_check.cc. The first
  // version after `version` of `speaker` in the order of names and numbers.
  std::optional<StoredVersion> NextVersion(const std::string& speaker,
                                           uint64_t version);
  // That one of the names, modulo their number; empty: there is none. Takes the
  // catalogue's lock for long where there are many: on start.
  std::string AnySpeaker(uint64_t number);
  // Of all versions of `speaker`, or of all ("").
  uint64_t StoredBytes(const std::string& speaker);
  // Reads all of a version, at the lowest priority: takes no lock of others.
  // `go_on` is called between pieces with their bytes; false: CANCELLED.
  Comparison Compare(const StoredVersion& version,
                     absl::FunctionRef<bool(size_t bytes)> go_on);
  // What is to be made of what was found at `now` (MonotonicNow), and its
  // status; NOT_FOUND: the version was deleted meanwhile. May wait for the
  // disk.
  absl::Status Conclude(const StoredVersion& version, const Comparison& found,
                        absl::Time now);
  // The files of `version` were read and are not what was published: new
  // streams are told `found.status`, those that hold it open as well at their
  // next message, until the files were compared anew and fit. That is done
  // where they look different from `found.stamp`. NOT_FOUND as above.
  absl::Status SayDamaged(const std::string& speaker, uint64_t version,
                          const Comparison& found, absl::Time now);
  // Voices whose directory still cannot be read, and why (disk).
  std::vector<std::pair<std::string, absl::Status>> ReadUnreadable();
  CheckStats LookAtChecks(absl::Time now);
  // From now on comparisons are CANCELLED within a piece: the server stops.
  void EndComparisons() { comparing_.store(false); }

  MemoryBudget& budget() { return *open_->budget; }
  const std::string& data_dir() const { return store_->data_dir(); }
  FileSystem& files() const { return *options_.files; }

 private:
  Catalog(CatalogOptions options, std::unique_ptr<DirectoryStore> store);

  absl::Status Recover();
  absl::Status RecoverSpeaker(const std::string& name);

  SpeakerPtr Find(const std::string& speaker);
  SpeakerPtr FindOrAdd(const std::string& speaker);
  // A speaker that has, or had, versions; read again if it could not be read on
  // start (disk). NOT_FOUND, or why it cannot be read.
  absl::StatusOr<SpeakerPtr> Known(const std::string& speaker);
  // A version of it that is there; 0: the active one.
  static absl::StatusOr<VersionEntry> Resolve(const SpeakerEntry& speaker,
                                              uint64_t version);
  // What the store says after a change becomes what everybody sees; `added`:
  // one of its versions that is open already, or none.
  static void Adopt(SpeakerEntry& speaker, const VersionEntry& added)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(speaker.write_mutex);
  // After its versions have changed: whether it is listed.
  void UpdateListed(const SpeakerPtr& speaker);

  // A version that is being acquired.
  struct Wanted;
  absl::StatusOr<Wanted> WantedOf(const VoiceName& voice);
  absl::Status ReadRecordOf(Wanted& wanted);
  // What is to be read before room is reserved, unless it is open (disk).
  absl::Status Prepare(Wanted& wanted,
                       const MemoryBudget::Cancelled& cancelled);
  absl::StatusOr<Lease> OpenWanted(Wanted& wanted, ChargePtr charge,
                                   MemoryBudget::Visit& visit);
  IndexDescription DescriptionOf(const Wanted& wanted) const;
  // Leases of those that are open, and room for the others; an empty vector as
  // of MemoryBudget::Reserve, or where all are open.
  absl::StatusOr<std::vector<ChargePtr>> ReserveFor(
      std::span<Wanted> wanted, MemoryBudget::Visit& visit,
      const MemoryBudget::Cancelled& cancelled);
  absl::StatusOr<StoredFrames> OpenFramesOf(
      Wanted& wanted, const MemoryBudget::Cancelled& cancelled);
  // Gives all a lease; false: to be tried again, by a new visit. An error is
  // that of `failed`, null: of all.
  absl::StatusOr<bool> OpenAll(std::span<Wanted> wanted,
                               MemoryBudget::Visit& visit,
                               const MemoryBudget::Cancelled& cancelled,
                               const Wanted*& failed);
  // `status` of reading `wanted`: OK if that is not the version that is meant
  // any more, and the caller tries again.
  absl::Status Failed(const Wanted& wanted, const absl::Status& status);
  // AcquireAll once; empty: to be tried again.
  absl::StatusOr<std::vector<Lease>> TryAcquire(
      std::span<const VoiceName> voices, MemoryBudget::Visit& visit,
      const MemoryBudget::Cancelled& cancelled);
  // One that must not fail for want of room.
  absl::StatusOr<Lease> AcquireForSure(const VoiceName& voice,
                                       MemoryBudget::Visit& visit);

  absl::StatusOr<std::optional<VersionInfo>> FindPublished(
      const SpeakerEntry& speaker, const std::string& request_id);
  // Reads manifests (disk).
  SpeakerInfo Describe(const SpeakerEntry& speaker, bool active_only);
  VersionInfo DescribeVersion(const SpeakerEntry& speaker,
                              const VersionEntry& version, bool active);
  // The same; what seems damaged is remembered if it is no deletion.
  SpeakerInfo DescribeSurely(SpeakerEntry& speaker, bool active_only);
  // NOT_FOUND for one without versions.
  absl::StatusOr<SpeakerInfo> DescribeAll(const SpeakerEntry& speaker);
  std::vector<SpeakerPtr> ListedAfter(absl::string_view prefix,
                                      std::string after, size_t limit);

  static StoredVersion StoredOf(const SpeakerEntry& speaker,
                                const VersionEntry& version);
  static void SayWhole(const StoredVersion& compared,
                       const VersionEntry& version, absl::Time now);
  // Before an opening: the damage that a comparison has found, unless the files
  // have changed since, were compared anew and fit (disk).
  absl::Status CheckFoundDamage(const SpeakerEntry& speaker,
                                const VersionEntry& version,
                                const MemoryBudget::Cancelled& cancelled);

  // A staged version that is open, and its room, which is given back last.
  struct Verified {
    ChargePtr charge;
    std::unique_ptr<const SpeakerIndex> index;
  };
  absl::StatusOr<Verified> Verify(const Staging& staging, const LifePtr& life,
                                  storage::Manifest& manifest);
  absl::StatusOr<VersionInfo> PublishVerified(
      Staging& staging, storage::Manifest manifest, const SpeakerPtr& speaker,
      const LifePtr& life, Verified verified,
      const std::function<bool()>& cancelled);

  // Calls `change` of a speaker that is known, with its write_mutex held.
  template <typename Result, typename... Parameters, typename... Arguments>
  Result Write(const std::string& speaker,
               Result (Catalog::*change)(SpeakerEntry&, Parameters...),
               Arguments&&... arguments);

  absl::StatusOr<SpeakerInfo> ActivateVersionOf(SpeakerEntry& speaker,
                                                uint64_t version)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(speaker.write_mutex);
  absl::StatusOr<SpeakerInfo> DeleteVersionOf(SpeakerEntry& speaker,
                                              uint64_t version)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(speaker.write_mutex);
  absl::Status DeleteAllOf(SpeakerEntry& speaker)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(speaker.write_mutex);
  absl::Status ApplyTuningTo(SpeakerEntry& speaker, const Lease& lease,
                             const Tuning& tuning)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(speaker.write_mutex);

  const CatalogOptions options_;
  // Goes after the speakers, which refer to it.
  const std::unique_ptr<DirectoryStore> store_;

  // One at a time reads a voice again (disk).
  Mutex recover_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  Mutex mutex_;
  // Voices whose directory could not be read yet.
  std::set<std::string> unreadable_ ABSL_GUARDED_BY(mutex_);
  // By names of theirs.
  std::map<absl::string_view, SpeakerPtr> speakers_ ABSL_GUARDED_BY(mutex_);
  // Those of them that have a version.
  std::map<absl::string_view, SpeakerPtr> listed_ ABSL_GUARDED_BY(mutex_);

  const std::shared_ptr<OpenVersions> open_ = std::make_shared<OpenVersions>();

  // Without a lock, for threads of the lowest priority.
  std::atomic<bool> comparing_{true};
  std::atomic<uint64_t> compared_bytes_{0};
  std::atomic<uint64_t> found_damaged_{0};
};

template <typename Result, typename... Parameters, typename... Arguments>
Result Catalog::Write(const std::string& speaker,
                      Result (Catalog::*change)(SpeakerEntry&, Parameters...),
                      Arguments&&... arguments) {
  const absl::StatusOr<SpeakerPtr> entry = Known(speaker);
  if (!entry.ok()) return entry.status();
  const MutexLock writing((*entry)->write_mutex);
  Result result =
      (this->*change)(**entry, std::forward<Arguments>(arguments)...);
  UpdateListed(*entry);
  return result;
}

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_CATALOG_H_
