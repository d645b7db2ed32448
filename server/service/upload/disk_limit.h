// Room that uploads leave on the disk.
#ifndef TIMBRE_SERVER_SERVICE_UPLOAD_DISK_LIMIT_H_
#define TIMBRE_SERVER_SERVICE_UPLOAD_DISK_LIMIT_H_

#include <cstdint>

#include "absl/status/status.h"
#include "server/service/rpc/service_context.h"

namespace timbre {

// RESOURCE_EXHAUSTED where writing so many bytes would leave less than
// --min_free_disk of the data directory's file system.
absl::Status CheckFreeDisk(const ServiceContext& context,
                           uint64_t bytes_to_write);

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_UPLOAD_DISK_LIMIT_H_
