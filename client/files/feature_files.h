// The feature files of a voice, as conversion programs leave them.
#ifndef TIMBRE_CLIENT_FILES_FEATURE_FILES_H_
#define TIMBRE_CLIENT_FILES_FEATURE_FILES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/cpp/matrix.h"

namespace timbre::client {

// The .npy files that `paths` stand for: a file stands for itself, a directory
// (RVC's 3_feature256 or 3_feature768, Applio's extracted) for its .npy files
// in the order of their names, which is how RVC concatenates them; names that
// begin with a dot are skipped (macOS leaves ._0.npy beside 0.npy). NOT_FOUND
// for a path that does not exist, INVALID_ARGUMENT for a directory without
// .npy files.
absl::StatusOr<std::vector<std::string>> ListFeatureFiles(
    const std::vector<std::string>& paths);

// Whether a directory's entry of this name is one of them: the shell's *.npy.
bool IsFeatureName(absl::string_view name);

// Reads files one after the other. Not thread-safe.
class FeatureReader {
 public:
  explicit FeatureReader(std::vector<std::string> files)
      : files_(std::move(files)) {}

  // The frames of the next file; nothing at the end. INVALID_ARGUMENT where
  // their dimension is not that of the files before.
  absl::StatusOr<std::optional<FrameMatrix>> Next();

 private:
  const std::vector<std::string> files_;
  size_t next_ = 0;
  uint32_t dimension_ = 0;  // 0: none was read
};

}  // namespace timbre::client

#endif  // TIMBRE_CLIENT_FILES_FEATURE_FILES_H_
