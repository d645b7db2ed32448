// The feature files of a voice, as conversion programs leave them.
#ifndef TIMBRE_CLIENT_CPP_FEATURE_FILES_H_
#define TIMBRE_CLIENT_CPP_FEATURE_FILES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace timbre::client {

// The .npy files that `paths` stand for: a file stands for itself, a directory
// (RVC's 3_feature256 or 3_feature768, Applio's extracted) for its .npy files
// in the order of their names, which is how RVC concatenates them. NOT_FOUND
// for a path that does not exist, INVALID_ARGUMENT for a directory without
// .npy files.
absl::StatusOr<std::vector<std::string>> ListFeatureFiles(
    const std::vector<std::string>& paths);

}  // namespace timbre::client

#endif  // TIMBRE_CLIENT_CPP_FEATURE_FILES_H_
