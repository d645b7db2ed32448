// Whether the files of a version are still what was published.
#ifndef TIMBRE_SERVER_CATALOG_STORE_STORED_FILES_H_
#define TIMBRE_SERVER_CATALOG_STORE_STORED_FILES_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/file_system.h"
#include "timbre/storage/manifest.pb.h"

namespace timbre {

// Reads all files that `manifest` names in `directory`, around the page cache,
// and compares their digests. `go_on` is called after each piece of up to a MiB
// with its bytes: false ends it, CANCELLED. DATA_LOSS where a file is missing,
// of another size or of another digest; other errors of file_error.h say
// nothing about the files. Thread-safe, without locks; takes as long as the
// disk does.
absl::Status CheckStoredFiles(const std::string& directory,
                              const storage::Manifest& manifest,
                              FileSystem& files,
                              absl::FunctionRef<bool(size_t bytes)> go_on);

// Another number as soon as somebody writes, replaces, removes or restores a
// file of the version in `directory` (FileStatus::identity); a few system
// calls. Errors of file_error.h, but a missing file is none.
absl::StatusOr<uint64_t> StampOfFiles(const std::string& directory,
                                      FileSystem& files);

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_STORE_STORED_FILES_H_
