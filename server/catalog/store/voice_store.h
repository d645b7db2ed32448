// Where voices are stored: one interface, of which the data directory is one
// implementation.
//
// A store knows which versions of a speaker are there and which one is active,
// and gives numbers. It knows nothing of what is open: that is the catalogue's.
#ifndef TIMBRE_SERVER_CATALOG_STORE_VOICE_STORE_H_
#define TIMBRE_SERVER_CATALOG_STORE_VOICE_STORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/catalog/records/version_record.h"
#include "server/catalog/store/staging.h"
#include "timbre/storage/manifest.pb.h"

namespace timbre {

// What is true of a speaker.
struct VoiceView {
  uint64_t active_version = 0;     // 0: none
  uint64_t deletions = 0;          // how often it was deleted
  std::vector<uint64_t> versions;  // in increasing order
};

// What is published with a version.
struct Publication {
  storage::Manifest manifest;  // without speaker and number, which it is given
  // Whether nobody wants it any more: CANCELLED until it is committed.
  std::function<bool()> cancelled;
};

struct Published {
  VersionRecord record;  // with its number
  absl::Status status;   // OK, or UNKNOWN as of StoredVoice
};

// One speaker of a store, from whom nobody else takes or to whom nobody else
// gives versions. The functions that are not const are called by one thread at
// a time, the others by any.
//
// What a change has returned OK for is durable. An error has changed nothing,
// except UNKNOWN OUTCOME_UNKNOWN: it is done as everybody sees it, but may be
// gone after a power cut. View says in any case what is true now.
class StoredVoice {
 public:
  explicit StoredVoice(std::string name) : name_(std::move(name)) {}
  virtual ~StoredVoice() = default;
  StoredVoice(const StoredVoice&) = delete;
  StoredVoice& operator=(const StoredVoice&) = delete;

  const std::string& name() const { return name_; }

  virtual VoiceView View() = 0;

  // The version that lies in `staging`, which is used up, of a speaker who was
  // not deleted since that was made.
  virtual absl::StatusOr<Published> Publish(Staging& staging,
                                            Publication publication) = 0;
  // Of versions that are there.
  virtual absl::Status Activate(uint64_t version) = 0;
  virtual absl::Status Delete(uint64_t version) = 0;
  virtual absl::Status DeleteAll() = 0;
  // What everybody sees gone or replaced already is taken away; what fails is
  // said in the log. The oldest versions beyond `keep_versions`, but for the
  // active one (0: none):
  virtual void DropSurplus(uint32_t keep_versions) = 0;
  // The files of versions that DeleteAll has deleted:
  virtual void RemoveFiles(const std::vector<uint64_t>& versions) = 0;
  virtual absl::Status ApplyTuning(uint64_t version, const Tuning& tuning) = 0;
  // OK: all that View says outlives a power cut, which nothing may rely on
  // before. INTERNAL (STORAGE_ERROR): it does not yet.
  virtual absl::Status Settle() = 0;

  // As ReadVersionRecord (disk).
  virtual absl::StatusOr<VersionRecord> ReadRecord(uint64_t version) const = 0;
  // Where its files are.
  virtual std::string Directory(uint64_t version) const = 0;

 private:
  const std::string name_;
};

// Thread-safe.
class VoiceStore {
 public:
  virtual ~VoiceStore() = default;

  // Names of all speakers, on start (disk).
  virtual absl::StatusOr<std::vector<std::string>> Names() = 0;
  // One that there is, and what was left half done of it completed (disk).
  virtual absl::StatusOr<std::unique_ptr<StoredVoice>> Read(
      const std::string& speaker) = 0;
  // One that there is not.
  virtual std::unique_ptr<StoredVoice> New(const std::string& speaker) = 0;
  // A place for a version of a speaker who was deleted so often (disk).
  virtual absl::StatusOr<std::unique_ptr<Staging>> Stage(
      const std::string& speaker, uint64_t deletions) = 0;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_STORE_VOICE_STORE_H_
