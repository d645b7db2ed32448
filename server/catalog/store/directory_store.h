// Voices in the data directory of this server, which nobody else uses.
#ifndef TIMBRE_SERVER_CATALOG_STORE_DIRECTORY_STORE_H_
#define TIMBRE_SERVER_CATALOG_STORE_DIRECTORY_STORE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/file_system.h"
#include "server/base/thread_pool.h"
#include "server/catalog/store/dir_lock.h"
#include "server/catalog/store/staging.h"
#include "server/catalog/store/voice_store.h"

namespace timbre {

// Thread-safe. Outlives its voices.
class DirectoryStore : public VoiceStore {
 public:
  // Claims the directory (data_directory.h), locks it, and removes what killed
  // builds left. FAILED_PRECONDITION if it is not one of Timbre's, or another
  // server has it. `files` outlives it.
  static absl::StatusOr<std::unique_ptr<DirectoryStore>> Open(
      std::string data_dir, FileSystem& files);

  absl::StatusOr<std::vector<std::string>> Names() override;
  absl::StatusOr<std::unique_ptr<StoredVoice>> Read(
      const std::string& speaker) override;
  std::unique_ptr<StoredVoice> New(const std::string& speaker) override;
  absl::StatusOr<std::unique_ptr<Staging>> Stage(const std::string& speaker,
                                                 uint64_t deletions) override;

  const std::string& data_dir() const { return data_dir_; }
  FileSystem& files() const { return files_; }
  // Has what is left of it removed, when there is time: a large directory holds
  // up nobody.
  void Remove(std::shared_ptr<Staging> trash);

 private:
  DirectoryStore(std::string data_dir, FileSystem& files, DirLock lock);
  absl::Status CleanUp();

  const std::string data_dir_;
  FileSystem& files_;
  const DirLock lock_;
  // What a server before this one had written is on the disk; constant after
  // Open.
  bool synced_ = true;
  ThreadPool remover_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_STORE_DIRECTORY_STORE_H_
