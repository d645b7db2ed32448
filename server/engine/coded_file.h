// The faiss file of an IVF-PQ-FastScan index, written without faiss, which
// would hold it in memory twice; faiss_load.h reads it.
#ifndef TIMBRE_SERVER_ENGINE_CODED_FILE_H_
#define TIMBRE_SERVER_ENGINE_CODED_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "server/base/file_system.h"
#include "server/engine/ivf_parts.h"
#include "server/engine/metric.h"

namespace timbre {

// Writes an IndexIVFPQFastScan of `lists` with `nprobe` in it to `path`,
// synced.
absl::Status WriteCodedFile(const CodedLists& lists, Metric metric,
                            uint32_t nprobe, const std::string& path,
                            FileSystem& files = FileSystem::Posix());

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_CODED_FILE_H_
