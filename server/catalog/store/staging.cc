#include "server/catalog/store/staging.h"

#include <atomic>

#include "absl/memory/memory.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/catalog/records/file_names.h"

namespace timbre {
namespace {

// Numbers begin anew with the process, which has emptied DIR/staging; what it
// could not remove is stepped over.
std::string NextDirectory(const std::string& data_dir,
                          const std::string& speaker) {
  static std::atomic<uint64_t> next{1};
  return StagedDir(data_dir, speaker, next++);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Staging>> Staging::Create(
    const std::string& data_dir, const std::string& speaker, uint64_t deletions,
    FileSystem& files) {
  while (true) {
    const std::string directory = NextDirectory(data_dir, speaker);
    const absl::Status made = files.MakeDirectory(directory);
    if (absl::IsAlreadyExists(made)) continue;
    TIMBRE_RETURN_IF_ERROR(made);
    return absl::WrapUnique(new Staging(directory, speaker, deletions, files));
  }
}

absl::StatusOr<std::unique_ptr<Staging>> Staging::Take(
    const std::string& data_dir, const std::string& speaker,
    const std::string& directory, FileSystem& files) {
  const std::string to = NextDirectory(data_dir, speaker);
  TIMBRE_RETURN_IF_ERROR(files.Rename(directory, to));
  return absl::WrapUnique(new Staging(to, speaker, 0, files));
}

Staging::~Staging() {
  if (published_) return;
  if (const absl::Status status = RemoveTree(directory_, files_);
      !status.ok()) {
    Log(LogLevel::kWarning, "staging_not_removed",
        {{"error", std::string(status.message())}});
  }
}

}  // namespace timbre
