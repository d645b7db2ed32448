#include "server/catalog/store/stored_files.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/checksum.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/catalog/records/file_names.h"

namespace timbre {
namespace {

absl::Status Damaged(const std::string& path, absl::string_view what) {
  return MakeError(absl::StatusCode::kDataLoss, "FILE_CORRUPT",
                   absl::StrCat(path, ": ", what));
}

}  // namespace

absl::Status CheckStoredFiles(const std::string& directory,
                              const storage::Manifest& manifest,
                              FileSystem& files,
                              absl::FunctionRef<bool(size_t bytes)> go_on) {
  for (const storage::StoredFile& file : manifest.files()) {
    const std::string path = FilePath(directory, file.name());
    const absl::StatusOr<uint64_t> bytes = FileSize(path, files);
    if (absl::IsNotFound(bytes.status())) return Damaged(path, "is missing");
    TIMBRE_RETURN_IF_ERROR(bytes.status());
    if (*bytes != file.bytes()) {
      return Damaged(path, absl::StrCat("has ", *bytes, " bytes; expected ",
                                        file.bytes()));
    }
    const absl::StatusOr<std::string> digest =
        DigestOfStoredFile(path, files, go_on);
    if (absl::IsNotFound(digest.status())) return Damaged(path, "is missing");
    TIMBRE_RETURN_IF_ERROR(digest.status());
    if (*digest != file.digest()) {
      return Damaged(path, "the digest does not match the manifest");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> StampOfFiles(const std::string& directory,
                                      FileSystem& files) {
  std::vector<uint64_t> identities;
  for (const char* const name : {kManifestFile, kFramesFile, kIndexFile}) {
    const auto status = files.Stat(FilePath(directory, name));
    if (!status.ok() && !absl::IsNotFound(status.status())) {
      return status.status();
    }
    identities.push_back(status.ok() ? status->identity : 0);
  }
  return HashOf(identities.data(), identities.size() * sizeof(uint64_t));
}

}  // namespace timbre
