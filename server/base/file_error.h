// What a failed system call means to who asked for it.
#ifndef TIMBRE_SERVER_BASE_FILE_ERROR_H_
#define TIMBRE_SERVER_BASE_FILE_ERROR_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace timbre {

// An error from `errno_value`: "<operation> <path>: <text of errno>". Pure but
// for the limits that it names. Thread-safe.
//   RESOURCE_EXHAUSTED   DISK_FULL: a full disk, a quota, the largest file;
//                        TOO_MANY_FILES: descriptors (RLIMIT_NOFILE, or of the
//                        machine); OUT_OF_MEMORY: also maps (vm.max_map_count)
//   NOT_FOUND            FILE_NOT_FOUND
//   ALREADY_EXISTS       FILE_EXISTS
//   FAILED_PRECONDITION  DIRECTORY_NOT_EMPTY
//   INTERNAL             STORAGE_ERROR: everything else
absl::Status FileError(int errno_value, absl::string_view operation,
                       const std::string& path);

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_FILE_ERROR_H_
