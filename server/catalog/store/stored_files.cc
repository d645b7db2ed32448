#include "server/catalog/store/stored_files.h"

#include "absl/strings/str_cat.h"
#include "server/base/checksum.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"

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
                              absl::FunctionRef<bool(size_t bytes)> before) {
  for (const storage::StoredFile& file : manifest.files()) {
    const std::string path = absl::StrCat(directory, "/", file.name());
    const absl::StatusOr<uint64_t> bytes = FileSize(path, files);
    if (absl::IsNotFound(bytes.status())) return Damaged(path, "is missing");
    TIMBRE_RETURN_IF_ERROR(bytes.status());
    if (*bytes != file.bytes()) {
      return Damaged(path, absl::StrCat("has ", *bytes, " bytes; expected ",
                                        file.bytes()));
    }
    const absl::StatusOr<std::string> digest =
        DigestOfStoredFile(path, files, before);
    if (absl::IsNotFound(digest.status())) return Damaged(path, "is missing");
    TIMBRE_RETURN_IF_ERROR(digest.status());
    if (*digest != file.digest()) {
      return Damaged(path, "the digest does not match the manifest");
    }
  }
  return absl::OkStatus();
}

}  // namespace timbre
