// The faiss file of an IVF-PQ-FastScan index, written without faiss, which
// would hold it in memory twice; faiss_load.h reads it.
#ifndef TIMBRE_SERVER_ENGINE_FAISS_CODED_FILE_H_
#define TIMBRE_SERVER_ENGINE_FAISS_CODED_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "server/base/file_system.h"
#include "server/engine/frames/metric.h"
#include "server/engine/lists/ivf_parts.h"

namespace timbre {

// Writes an IndexIVFPQFastScan of `lists` with `nprobe` in it to `path`,
// synced.
absl::Status WriteCodedFile(const CodedLists& lists, Metric metric,
                            uint32_t nprobe, const std::string& path,
                            FileSystem& files = FileSystem::Posix());

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_FAISS_CODED_FILE_H_
