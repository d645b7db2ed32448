// One server per data directory.
#ifndef TIMBRE_SERVER_CATALOG_STORE_DIR_LOCK_H_
#define TIMBRE_SERVER_CATALOG_STORE_DIR_LOCK_H_

#include <string>

#include "absl/status/statusor.h"
#include "server/base/file_system.h"

namespace timbre {

// Holds flock(2) on DIR/LOCK while it lives. The kernel releases it however
// the process ends, so a stale lock cannot exist.
class DirLock {
 public:
  // FAILED_PRECONDITION if another process holds it.
  static absl::StatusOr<DirLock> Take(const std::string& data_dir,
                                      FileSystem& files);

 private:
  explicit DirLock(FileDescriptor fd) : fd_(std::move(fd)) {}
  FileDescriptor fd_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_STORE_DIR_LOCK_H_
