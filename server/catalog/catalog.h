// All voices: which versions exist, which is active, which are open.
//
// A version is staged, verified, synced and published by rename; from then on
// it never changes. The catalog is the only writer of the data directory.
#ifndef TIMBRE_SERVER_CATALOG_CATALOG_H_
#define TIMBRE_SERVER_CATALOG_CATALOG_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/file_system.h"
#include "server/base/thread_pool.h"
#include "server/catalog/open/lease.h"
#include "server/catalog/records/version_record.h"
#include "server/catalog/store/dir_lock.h"
#include "server/catalog/store/staging.h"
#include "server/kernels/kernels.h"

namespace timbre {

struct RecoveryPlan;

struct CatalogOptions {
  std::string data_dir;
  // Published versions of a speaker that are kept, the active one included;
  // the oldest inactive ones beyond it are deleted after a Build. 0: all.
  uint32_t keep_versions = 0;
  const KernelTable* kernels = nullptr;
  // Outlives the catalog.
  FileSystem* files = &FileSystem::Posix();
};

struct VersionInfo {
  uint64_t version = 0;
  std::shared_ptr<const VersionRecord> record;  // null: manifest unreadable
  absl::Status damage;  // DATA_LOSS; others: could not be read; or OK
  bool active = false;
  bool loaded = false;
};

struct SpeakerInfo {
  std::string speaker;
  uint64_t active_version = 0;  // 0: none
  std::vector<VersionInfo> versions;
};

struct CatalogStats {
  uint64_t speakers = 0;         // with a version
  uint64_t speakers_loaded = 0;  // with an open version
  uint64_t versions_damaged = 0;
  uint64_t bytes_resident = 0;  // besides mapped pages
};

// Thread-safe. Functions that may read or write the disk say so; the others
// take a lock that is never held across a disk operation.
class Catalog {
 public:
  // Claims the directory (data_directory.h), locks it, removes what killed
  // builds left, completes what was half published, and reads the manifests,
  // not the indices. FAILED_PRECONDITION if it is not one of Timbre's, or
  // another server has it. A voice that cannot be read costs that voice: it is
  // read again when somebody asks for it.
  static absl::StatusOr<std::unique_ptr<Catalog>> Open(CatalogOptions options);
  ~Catalog();

  // A version of a speaker; 0: the active one. Opens it if need be (disk).
  // NOT_FOUND, FAILED_PRECONDITION (no active version), DATA_LOSS; other errors
  // of file_error.h pass, and are not remembered. A version that is being
  // deleted is there or NOT_FOUND, never damaged.
  absl::StatusOr<Lease> Acquire(const std::string& speaker, uint64_t version);
  // The same if it is open already, else null.
  Lease FindLoaded(const std::string& speaker, uint64_t version);

  // `status`, that of reading files of `version`; NOT_FOUND if that was deleted
  // meanwhile.
  absl::Status WhyUnreadable(const LoadedVersion& version,
                             const absl::Status& status);

  // NOT_FOUND for a speaker without versions. Reads what could not be read
  // before (disk).
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
  const std::string& data_dir() const { return options_.data_dir; }
  FileSystem& files() const { return *options_.files; }

 private:
  struct Version;
  struct Speaker;
  using SpeakerPtr = std::shared_ptr<Speaker>;
  using VersionPtr = std::shared_ptr<Version>;

  Catalog(CatalogOptions options, DirLock lock);

  absl::Status Recover();
  absl::Status RecoverSpeaker(const std::string& name);
  VersionPtr ReadVersion(const std::string& speaker, uint64_t number);
  void ReadWhatFailed(const Speaker& speaker);
  void CarryOut(Speaker& speaker, const RecoveryPlan& plan);

  // A speaker that has, or had, versions; read again if it could not be read on
  // start (disk). NOT_FOUND, or why it cannot be read.
  absl::StatusOr<SpeakerPtr> Known(const std::string& speaker);
  std::optional<VersionInfo> FindPublished(const Speaker& speaker,
                                           const std::string& request_id);

  // Under mutex_ while they run:
  SpeakerPtr Find(const std::string& speaker);
  SpeakerPtr FindOrAdd(const std::string& speaker);
  absl::StatusOr<VersionPtr> Resolve(const std::string& speaker,
                                     uint64_t version);
  SpeakerInfo Describe(const Speaker& speaker, bool active_only) const;
  absl::StatusOr<SpeakerInfo> DescribeLocked(const std::string& speaker);

  absl::StatusOr<Lease> Load(Version& version);
  Lease MakeLease(std::shared_ptr<const VersionRecord> record,
                  std::shared_ptr<const SpeakerIndex> index);
  absl::StatusOr<std::unique_ptr<const SpeakerIndex>> Verify(
      const Staging& staging, storage::Manifest& manifest);
  absl::StatusOr<VersionInfo> PublishVerified(
      Staging& staging, storage::Manifest manifest,
      std::unique_ptr<const SpeakerIndex> index,
      const std::function<bool()>& cancelled);

  // These want the speaker's write_mutex held.
  // From the staging directory to a version that is acknowledged.
  absl::Status Commit(Speaker& speaker, const VersionPtr& version,
                      Staging& staging);
  absl::Status MakeSpeakerDir(const Speaker& speaker);
  void DropSpeakerDir(const Speaker& speaker);
  // Takes a version's directory back; false: it cannot be, so that a start
  // would find the version.
  bool Withdraw(const Speaker& speaker, const Version& version,
                Staging& staging);
  // Makes `state` durable, then true; true also if that is UNKNOWN.
  absl::Status CommitState(Speaker& speaker,
                           const storage::SpeakerState& state);
  // What is on the disk becomes what is true; `added`: one more version, or
  // null.
  void Adopt(Speaker& speaker, const storage::SpeakerState& state,
             const VersionPtr& added, bool settled);
  // OK: what is known of the speaker outlives a power cut.
  absl::Status Settle(Speaker& speaker);
  absl::Status RemoveVersion(Speaker& speaker, uint64_t version);
  void DropOldVersions(Speaker& speaker);
  absl::Status TrashVersionDir(Speaker& speaker, uint64_t version);

  const CatalogOptions options_;
  const DirLock lock_;
  std::mutex recover_mutex_;  // one at a time reads a voice again (disk)
  // What a server before this one had written is on the disk; constant after
  // Open.
  bool synced_ = true;
  std::mutex mutex_;
  // Voices whose directory could not be read yet; guarded by mutex_.
  std::set<std::string> unreadable_;
  std::map<std::string, SpeakerPtr> speakers_;  // guarded by mutex_
  std::shared_ptr<ThreadPool>
      reaper_;  // closes what nobody holds; disk removal
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_CATALOG_H_
