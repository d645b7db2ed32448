#include "client/files/feature_files.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/files/npy.h"
#include "server/base/errors.h"
#include "server/base/file_system.h"
#include "server/base/status_macros.h"

namespace timbre::client {

bool IsFeatureName(absl::string_view name) {
  return absl::EndsWith(name, ".npy") && !absl::StartsWith(name, ".");
}

absl::StatusOr<std::vector<std::string>> ListFeatureFiles(
    const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    std::error_code error;
    if (!std::filesystem::is_directory(path, error)) {
      if (!std::filesystem::exists(path, error)) {
        return MakeError(absl::StatusCode::kNotFound, "FILE_NOT_FOUND",
                         absl::StrCat(path, ": does not exist"));
      }
      files.push_back(path);
      continue;
    }
    TIMBRE_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                            ListDirectory(path));
    const size_t before = files.size();
    for (const std::string& name : names) {
      if (IsFeatureName(name)) {
        files.push_back((std::filesystem::path(path) / name).string());
      }
    }
    if (files.size() == before) {
      return MakeError(absl::StatusCode::kInvalidArgument, "NO_FEATURE_FILES",
                       absl::StrCat(path, ": holds no .npy files"));
    }
  }
  return files;
}

absl::StatusOr<std::optional<FrameMatrix>> FeatureReader::Next() {
  if (next_ == files_.size()) return std::optional<FrameMatrix>();
  const std::string& file = files_[next_++];
  TIMBRE_ASSIGN_OR_RETURN(FrameMatrix frames, ReadNpy(file));
  if (dimension_ == 0) dimension_ = frames.columns;
  if (frames.columns != dimension_) {
    return MakeError(absl::StatusCode::kInvalidArgument, "MIXED_DIMENSIONS",
                     absl::StrCat(file, " has dimension ", frames.columns,
                                  ", but ", files_.front(), " has ", dimension_,
                                  "; use features of one kind"));
  }
  return std::optional<FrameMatrix>(std::move(frames));
}

}  // namespace timbre::client
