#include "server/base/file_error.h"

#include <sys/resource.h>

#include <cerrno>
#include <fstream>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"

namespace timbre {
namespace {

// "; the limit is 256 (RLIMIT_NOFILE)", or nothing where there is none.
std::string LimitOf(decltype(RLIMIT_NOFILE) resource, absl::string_view name) {
  struct rlimit limit {};
  if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return "";
  }
  return absl::StrCat("; the limit of this process is ", limit.rlim_cur, " (",
                      name, ")");
}

// The same of a file below /proc/sys: "fs.file-max" of fs/file-max.
std::string SystemLimit(const std::string& file, absl::string_view name) {
  std::ifstream stream("/proc/sys/" + file);
  std::string value;
  if (!(stream >> value)) return absl::StrCat("; the limit is ", name);
  return absl::StrCat("; the limit of this machine is ", value, " (", name,
                      ")");
}

}  // namespace

absl::Status FileError(int errno_value, absl::string_view operation,
                       const std::string& path) {
  const std::string text = absl::StrCat(
      operation, " ", path, ": ", std::generic_category().message(errno_value));
  const auto exhausted = [&](absl::string_view reason, const std::string& why) {
    return MakeError(absl::StatusCode::kResourceExhausted, reason, text + why);
  };
  switch (errno_value) {
    case EFBIG:
      return exhausted("DISK_FULL", LimitOf(RLIMIT_FSIZE, "RLIMIT_FSIZE"));
    case ENOSPC:
    case EDQUOT:
      return exhausted("DISK_FULL", "");
    case EMFILE:
      return exhausted("TOO_MANY_FILES",
                       LimitOf(RLIMIT_NOFILE, "RLIMIT_NOFILE"));
    case ENFILE:
      // Opening a file of /proc may fail too: then the name alone is said.
      return exhausted("TOO_MANY_FILES",
                       SystemLimit("fs/file-max", "fs.file-max"));
    case ENOMEM:
      return exhausted("OUT_OF_MEMORY",
                       SystemLimit("vm/max_map_count", "vm.max_map_count"));
    case ENOENT:
      return MakeError(absl::StatusCode::kNotFound, "FILE_NOT_FOUND", text);
    case EEXIST:
      return MakeError(absl::StatusCode::kAlreadyExists, "FILE_EXISTS", text);
    case ENOTEMPTY:
      return MakeError(absl::StatusCode::kFailedPrecondition,
                       "DIRECTORY_NOT_EMPTY", text);
    default:
      return MakeError(absl::StatusCode::kInternal, "STORAGE_ERROR", text);
  }
}

}  // namespace timbre
