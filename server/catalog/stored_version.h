// A published version to compare with its digests, and what came of it.
#ifndef TIMBRE_SERVER_CATALOG_STORED_VERSION_H_
#define TIMBRE_SERVER_CATALOG_STORED_VERSION_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace timbre {

struct StoredVersion {
  std::string speaker;
  uint64_t version = 0;
  std::string directory;
  uint64_t findings = 0;  // FileCheck's, before its files are read
};

struct Comparison {
  // OK: the files are what was published. DATA_LOSS: they are not. CANCELLED;
  // others say nothing about them.
  absl::Status status;
  uint64_t stamp = 0;  // StampOfFiles, from before they were read
  uint64_t bytes = 0;  // as the manifest has them; 0: not readable
};

struct CheckStats {
  double oldest_age_seconds =
      0;                 // of the version that was compared longest ago
  uint64_t bytes = 0;    // compared since the start
  uint64_t damaged = 0;  // versions that were found to be
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_STORED_VERSION_H_
