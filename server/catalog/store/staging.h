// Where a version is made before it is published.
#ifndef TIMBRE_SERVER_CATALOG_STORE_STAGING_H_
#define TIMBRE_SERVER_CATALOG_STORE_STAGING_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/base/file_system.h"

namespace timbre {

// A directory of its own below DIR/staging, removed with everything in it when
// this object goes, unless it was published. Not thread-safe.
class Staging {
 public:
  // `deletions`: how often the speaker had been deleted when the build began.
  static absl::StatusOr<std::unique_ptr<Staging>> Create(
      const std::string& data_dir, const std::string& speaker,
      uint64_t deletions, FileSystem& files);
  // `directory`, renamed to be one: removed with the object. Nothing is synced.
  static absl::StatusOr<std::unique_ptr<Staging>> Take(
      const std::string& data_dir, const std::string& speaker,
      const std::string& directory, FileSystem& files);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  const std::string& directory() const { return directory_; }
  const std::string& speaker() const { return speaker_; }
  uint64_t deletions() const { return deletions_; }
  FileSystem& files() const { return files_; }

  // The directory has been renamed, or is to stay: nothing is to be removed.
  void Published() { published_ = true; }
  // It has been renamed back.
  void Unpublished() { published_ = false; }

 private:
  Staging(std::string directory, std::string speaker, uint64_t deletions,
          FileSystem& files)
      : directory_(std::move(directory)),
        speaker_(std::move(speaker)),
        deletions_(deletions),
        files_(files) {}

  const std::string directory_;
  const std::string speaker_;
  const uint64_t deletions_;
  FileSystem& files_;
  bool published_ = false;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_STORE_STAGING_H_
