// What must be known of a version to open its files.
#ifndef TIMBRE_SERVER_ENGINE_LISTS_INDEX_DESCRIPTION_H_
#define TIMBRE_SERVER_ENGINE_LISTS_INDEX_DESCRIPTION_H_

#include <cstdint>
#include <string>

#include "server/base/element_type.h"
#include "server/base/file_system.h"
#include "server/engine/frames/metric.h"
#include "server/engine/lists/index_spec.h"

namespace timbre {

struct IndexDescription {
  IndexSpec spec;
  Metric metric = Metric::kL2;
  ElementType storage = ElementType::kFloat32;
  uint64_t rows = 0;
  uint32_t dimension = 0;
  std::string frames_path;   // total_fea.npy
  std::string index_path;    // added.index; not read for IndexKind::kFlat
  std::string index_digest;  // of the index file
  FileSystem* files = &FileSystem::Posix();
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_LISTS_INDEX_DESCRIPTION_H_
