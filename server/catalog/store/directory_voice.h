// A speaker in the data directory: for directory_store.h alone. The rules: what
// is acknowledged is on the disk; memory never says what a restart would not
// say; an fsync that failed is not repeated.
#ifndef TIMBRE_SERVER_CATALOG_STORE_DIRECTORY_VOICE_H_
#define TIMBRE_SERVER_CATALOG_STORE_DIRECTORY_VOICE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "server/catalog/store/directory_store.h"
#include "server/catalog/store/recovery.h"
#include "server/catalog/store/voice_store.h"

namespace timbre {

class DirectoryVoice : public StoredVoice {
 public:
  // One that is there, recovered (recovery.h); `synced` says whether all of it
  // is on the disk.
  static absl::StatusOr<std::unique_ptr<StoredVoice>> Read(
      DirectoryStore& store, const std::string& name, bool synced);
  // One without versions.
  DirectoryVoice(DirectoryStore& store, std::string name)
      : StoredVoice(std::move(name)), store_(store) {}

  VoiceView View() override;
  absl::StatusOr<Published> Publish(Staging& staging,
                                    Publication publication) override;
  absl::Status Activate(uint64_t version) override;
  absl::Status Delete(uint64_t version) override;
  absl::Status DeleteAll() override;
  void DropSurplus(uint32_t keep_versions) override;
  void RemoveFiles(const std::vector<uint64_t>& versions) override;
  absl::Status ApplyTuning(uint64_t version, const Tuning& tuning) override;
  absl::Status Settle() override;
  absl::StatusOr<VersionRecord> ReadRecord(uint64_t version) const override;
  std::string Directory(uint64_t version) const override;

 private:
  FileSystem& files() const { return store_.files(); }
  std::string path() const;
  absl::StatusOr<FoundVersion> Find(
      uint64_t version,
      const std::optional<storage::SpeakerState>& state) const;
  // What fails here fails again on the next start; the voice serves.
  void Apply(const RecoveryPlan& plan);

  absl::StatusOr<Replacement> Prepare(const storage::SpeakerState& state);
  // Makes `state` durable, then true; true also if that is UNKNOWN.
  absl::Status Commit(const storage::SpeakerState& state);
  // From the staging directory to a version that is acknowledged.
  absl::Status CommitVersion(uint64_t version, bool active, Staging& staging);
  absl::Status MakeDirectory();
  // Removed only if it is empty: a stranger's files are not ours to delete.
  void DropDirectory();
  // Takes a version's directory back; false: it cannot be, so that a start
  // would find the version.
  bool Withdraw(uint64_t version, Staging& staging);
  absl::Status Trash(uint64_t version);
  void TrashOrSay(uint64_t version);

  storage::SpeakerState State() const;
  void Forget(uint64_t version);
  void Remember(const storage::SpeakerState& state, bool settled);

  DirectoryStore& store_;
  // Of a hundred thousand voices, so no document.
  uint64_t active_version_ = 0;
  uint64_t last_version_ = 0;
  uint64_t deleted_through_ = 0;
  absl::InlinedVector<uint64_t, 2> versions_;  // in increasing order
  // The highest number given to a publication.
  uint64_t reserved_ = 0;
  uint32_t deletions_ = 0;  // by this process
  // False: an fsync failed after the last change, so that a power cut may take
  // it back. Nothing is acknowledged that relies on it (see Settle).
  bool settled_ = true;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_STORE_DIRECTORY_VOICE_H_
