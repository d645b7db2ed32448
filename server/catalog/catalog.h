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
#include "server/base/thread_pool.h"
#include "server/catalog/dir_lock.h"
#include "server/catalog/lease.h"
#include "server/catalog/staging.h"
#include "server/catalog/version_record.h"
#include "server/kernels/kernels.h"

namespace timbre {

struct RecoveryPlan;

struct CatalogOptions {
  std::string data_dir;
  // Published versions of a speaker that are kept, the active one included;
  // the oldest inactive ones beyond it are deleted after a Build. 0: all.
  uint32_t keep_versions = 0;
  const KernelTable* kernels = nullptr;
};

struct VersionInfo {
  uint64_t version = 0;
  std::shared_ptr<const VersionRecord> record;  // null: manifest unreadable
  absl::Status damage;                          // DATA_LOSS, or OK
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
  // Locks the directory (created where it does not exist), removes what killed
  // builds left, completes what was half published, and reads the manifests,
  // not the indices. FAILED_PRECONDITION if another server has the directory.
  static absl::StatusOr<std::unique_ptr<Catalog>> Open(CatalogOptions options);
  ~Catalog();

  // A version of a speaker; 0: the active one. Opens it if need be (disk).
  // NOT_FOUND, FAILED_PRECONDITION (no active version), DATA_LOSS.
  absl::StatusOr<Lease> Acquire(const std::string& speaker, uint64_t version);
  // The same if it is open already, else null.
  Lease FindLoaded(const std::string& speaker, uint64_t version);

  // NOT_FOUND for a speaker without versions.
  absl::StatusOr<SpeakerInfo> GetSpeaker(const std::string& speaker);
  // Up to `limit` speakers in the order of their names, after `after`, whose
  // names begin with `prefix`; with their active versions alone.
  std::vector<SpeakerInfo> List(absl::string_view prefix,
                                absl::string_view after, size_t limit);

  // These write to the disk and are durable when they return OK.
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

  // The version that a Build with this request_id has published, if any.
  std::optional<VersionInfo> FindRequest(const std::string& speaker,
                                         const std::string& request_id);

  // Completes `manifest` (files, digests, version) from what lies in the
  // staging directory, reopens and verifies it, and publishes it (disk). With
  // a request_id that was published meanwhile: that version. ABORTED if the
  // speaker was deleted since Stage, CANCELLED if `cancelled` says so before
  // the rename. On error nothing is left behind.
  absl::StatusOr<VersionInfo> Publish(Staging& staging,
                                      storage::Manifest manifest,
                                      const std::function<bool()>& cancelled);

  CatalogStats Stats();
  const std::string& data_dir() const { return options_.data_dir; }

 private:
  struct Version;
  struct Speaker;
  using SpeakerPtr = std::shared_ptr<Speaker>;
  using VersionPtr = std::shared_ptr<Version>;

  Catalog(CatalogOptions options, DirLock lock);

  absl::Status Recover();
  absl::Status RecoverSpeaker(const std::string& name);
  VersionPtr ReadVersion(const std::string& speaker, uint64_t number) const;
  void CarryOut(const std::string& name, const RecoveryPlan& plan);

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
  // Makes `state` durable, then true; with `added` as one more version.
  absl::Status CommitState(Speaker& speaker, const storage::SpeakerState& state,
                           const VersionPtr& added);
  void Withdraw(const Speaker& speaker, const Version& version,
                Staging& staging);
  void Forget(Speaker& speaker, uint64_t version);
  void DropOldVersions(Speaker& speaker);
  absl::Status RemoveVersionDir(const std::string& speaker, uint64_t version);

  const CatalogOptions options_;
  const DirLock lock_;
  // Voices whose directory could not be read on start; constant after Open.
  std::set<std::string> unreadable_;
  std::mutex mutex_;
  std::map<std::string, SpeakerPtr> speakers_;  // guarded by mutex_
  std::shared_ptr<ThreadPool>
      reaper_;  // closes what nobody holds; disk removal
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_CATALOG_H_
