// Every name in the data directory is made here. doc/disk_format.md explains.
#ifndef TIMBRE_SERVER_CATALOG_RECORDS_FILE_NAMES_H_
#define TIMBRE_SERVER_CATALOG_RECORDS_FILE_NAMES_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace timbre {

inline constexpr char kFormatFile[] = "FORMAT";
inline constexpr char kManifestFile[] = "manifest.json";
inline constexpr char kStateFile[] = "state.json";
inline constexpr char kTuningFile[] = "tuning.json";
// Of a version, what its manifest names. RVC calls them so.
inline constexpr char kFramesFile[] = "total_fea.npy";
inline constexpr char kIndexFile[] = "added.index";

// A file of a version or of one that is being made.
std::string FilePath(absl::string_view directory, absl::string_view file);

std::string LockPath(absl::string_view data_dir);     // DIR/LOCK
std::string FormatPath(absl::string_view data_dir);   // DIR/FORMAT
std::string StagingDir(absl::string_view data_dir);   // DIR/staging
std::string SpeakersDir(absl::string_view data_dir);  // DIR/speakers
std::string SpeakerDir(absl::string_view data_dir, absl::string_view speaker);
std::string StatePath(absl::string_view data_dir, absl::string_view speaker);
std::string VersionDir(absl::string_view data_dir, absl::string_view speaker,
                       uint64_t version);

// DIR/staging/<speaker>.<n>
std::string StagedDir(absl::string_view data_dir, absl::string_view speaker,
                      uint64_t n);
// Whether a server makes entries of this name in DIR/staging: those of
// StagedDir, and what is to take the place of a state.json or tuning.json.
bool IsStagingName(absl::string_view name);

// No version has a larger number, so that there is always a next one.
inline constexpr uint64_t kMaxVersion = UINT64_MAX / 2;

// The version that a directory's name stands for: a decimal number without
// leading zeros, 1..kMaxVersion.
std::optional<uint64_t> ParseVersion(absl::string_view name);

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_RECORDS_FILE_NAMES_H_
