#include "server/catalog/staging.h"

#include <atomic>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "server/base/file_system.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/catalog/file_names.h"

namespace timbre {

absl::StatusOr<std::unique_ptr<Staging>> Staging::Create(
    const std::string& data_dir, const std::string& speaker,
    uint64_t generation) {
  // The catalog empties DIR/staging on start, so numbers may begin anew.
  static std::atomic<uint64_t> next{1};
  const std::string directory =
      absl::StrCat(StagingDir(data_dir), "/", speaker, ".", next++);
  TIMBRE_RETURN_IF_ERROR(MakeDirectories(directory));
  return absl::WrapUnique(new Staging(directory, speaker, generation));
}

Staging::~Staging() {
  if (published_) return;
  if (const absl::Status status = RemoveTree(directory_); !status.ok()) {
    Log(LogLevel::kWarning, "staging_not_removed",
        {{"error", std::string(status.message())}});
  }
}

}  // namespace timbre
