#include "server/catalog/store/dir_lock.h"

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/catalog/records/file_names.h"

namespace timbre {

absl::StatusOr<DirLock> DirLock::Take(const std::string& data_dir,
                                      FileSystem& files) {
  auto fd = files.Lock(LockPath(data_dir));
  if (fd.ok()) return DirLock(*std::move(fd));
  if (!absl::IsFailedPrecondition(fd.status())) return fd.status();
  return MakeError(absl::StatusCode::kFailedPrecondition, "DATA_DIR_IN_USE",
                   absl::StrCat("data directory ", data_dir,
                                " is in use by another timbred"));
}

}  // namespace timbre
