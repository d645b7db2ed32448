// Files that appear whole or not at all.
#ifndef TIMBRE_CLIENT_FILES_OUTPUT_H_
#define TIMBRE_CLIENT_FILES_OUTPUT_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "server/base/file_system.h"

namespace timbre::client {

// Has `write` fill PATH.part, syncs it and renames it to `path`; on error
// neither is left. What is there and is no regular file (a pipe, a device) is
// written straight to. Errors are those of OutputFile.
absl::Status WriteWhole(const std::string& path,
                        const std::function<absl::Status(OutputFile&)>& write);

}  // namespace timbre::client

#endif  // TIMBRE_CLIENT_FILES_OUTPUT_H_
