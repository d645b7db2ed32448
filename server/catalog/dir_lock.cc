#include "server/catalog/dir_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/catalog/file_names.h"

namespace timbre {

absl::StatusOr<DirLock> DirLock::Take(const std::string& data_dir) {
  const std::string path = LockPath(data_dir);
  FileDescriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd.valid()) return FileError(errno, "open", path);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return DirLock(std::move(fd));
  if (errno != EWOULDBLOCK) return FileError(errno, "lock", path);
  return MakeError(absl::StatusCode::kFailedPrecondition, "DATA_DIR_IN_USE",
                   absl::StrCat("data directory ", data_dir,
                                " is in use by another timbred"));
}

}  // namespace timbre
