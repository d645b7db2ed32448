#include "client/files/file_bytes.h"

#include <cstdint>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/file_system.h"
#include "server/base/status_macros.h"

namespace timbre::client {

absl::StatusOr<FileBytes> FileBytes::Open(const std::string& path) {
  std::error_code error;
  const auto type = std::filesystem::status(path, error).type();
  if (type == std::filesystem::file_type::not_found) {
    return MakeError(absl::StatusCode::kNotFound, "FILE_NOT_FOUND",
                     absl::StrCat(path, ": no such file"));
  }
  if (type == std::filesystem::file_type::directory) {
    return MakeError(absl::StatusCode::kInvalidArgument, "NOT_A_FILE",
                     absl::StrCat(path, ": is a directory"));
  }
  // Pipes end, devices need not.
  if (type == std::filesystem::file_type::character ||
      type == std::filesystem::file_type::block) {
    return MakeError(absl::StatusCode::kInvalidArgument, "NOT_A_FILE",
                     absl::StrCat(path, ": is a device"));
  }
  FileBytes file;
  if (type == std::filesystem::file_type::regular) {
    TIMBRE_ASSIGN_OR_RETURN(const uint64_t size, FileSize(path));
    if (size == 0) return file;  // which cannot be mapped
    TIMBRE_ASSIGN_OR_RETURN(file.mapped_, MappedFile::Open(path, size));
    return file;
  }
  TIMBRE_ASSIGN_OR_RETURN(file.read_, ReadFile(path));
  return file;
}

absl::Status FileBytes::Check() const {
  return mapped_ != nullptr ? mapped_->Check() : absl::OkStatus();
}

}  // namespace timbre::client
