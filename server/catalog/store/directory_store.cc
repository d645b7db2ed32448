#include "server/catalog/store/directory_store.h"

#include <utility>

#include "absl/memory/memory.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/catalog/records/file_names.h"
#include "server/catalog/store/data_directory.h"
#include "server/catalog/store/directory_voice.h"

namespace timbre {

absl::StatusOr<std::unique_ptr<DirectoryStore>> DirectoryStore::Open(
    std::string data_dir, FileSystem& files) {
  TIMBRE_RETURN_IF_ERROR(ClaimDataDirectory(data_dir, files));
  TIMBRE_ASSIGN_OR_RETURN(DirLock lock, DirLock::Take(data_dir, files));
  auto store = absl::WrapUnique(
      new DirectoryStore(std::move(data_dir), files, std::move(lock)));
  TIMBRE_RETURN_IF_ERROR(store->CleanUp());
  return store;
}

DirectoryStore::DirectoryStore(std::string data_dir, FileSystem& files,
                               DirLock lock)
    : data_dir_(std::move(data_dir)),
      files_(files),
      lock_(std::move(lock)),
      remover_("remover", 1) {}

absl::Status DirectoryStore::CleanUp() {
  // What a server that was killed had changed and not synced would be said to
  // be there, and be gone after a power cut.
  Log(LogLevel::kInfo, "syncing", {{"data_dir", data_dir_}});
  if (const auto status = files_.SyncAll(data_dir_); !status.ok()) {
    synced_ = false;
    Log(LogLevel::kError, "data_dir_not_synced",
        {{"error", std::string(status.message())}});
  }
  TIMBRE_RETURN_IF_ERROR(MakeDirectories(StagingDir(data_dir_), files_));
  TIMBRE_RETURN_IF_ERROR(MakeDirectories(SpeakersDir(data_dir_), files_));
  RemoveLeftovers(data_dir_, files_);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> DirectoryStore::Names() {
  return files_.List(SpeakersDir(data_dir_));
}

absl::StatusOr<std::unique_ptr<StoredVoice>> DirectoryStore::Read(
    const std::string& speaker) {
  return DirectoryVoice::Read(*this, speaker, synced_);
}

std::unique_ptr<StoredVoice> DirectoryStore::New(const std::string& speaker) {
  return std::make_unique<DirectoryVoice>(*this, speaker);
}

absl::StatusOr<std::unique_ptr<Staging>> DirectoryStore::Stage(
    const std::string& speaker, uint64_t deletions) {
  return Staging::Create(data_dir_, speaker, deletions, files_);
}

void DirectoryStore::Remove(std::shared_ptr<Staging> trash) {
  remover_.Submit([trash = std::move(trash)] {});
}

}  // namespace timbre
