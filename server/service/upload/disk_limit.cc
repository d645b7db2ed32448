#include "server/service/upload/disk_limit.h"

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/file_system.h"
#include "server/base/status_macros.h"

namespace timbre {

absl::Status CheckFreeDisk(const ServiceContext& context,
                           uint64_t bytes_to_write) {
  const uint64_t least = context.build_limits.min_free_bytes;
  TIMBRE_ASSIGN_OR_RETURN(const uint64_t free,
                          FreeDiskBytes(context.catalog->data_dir()));
  if (free >= least + bytes_to_write) return absl::OkStatus();
  return MakeError(absl::StatusCode::kResourceExhausted, "DISK_FULL",
                   absl::StrCat("the data directory's file system has ", free,
                                " bytes left; this call needs ", bytes_to_write,
                                " and leaves ", least, " (--min_free_disk)"));
}

}  // namespace timbre
