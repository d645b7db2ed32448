// What is known of a version without opening it.
#ifndef TIMBRE_SERVER_CATALOG_RECORDS_VERSION_RECORD_H_
#define TIMBRE_SERVER_CATALOG_RECORDS_VERSION_RECORD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/file_system.h"
#include "server/engine/search/speaker_index.h"
#include "server/engine/tune/operating_point.h"
#include "timbre/storage/manifest.pb.h"

namespace timbre {

// A manifest, understood. A value; const use is thread-safe.
struct VersionRecord {
  storage::Manifest manifest;
  IndexSpec spec;
  Metric metric = Metric::kL2;
  ElementType storage = ElementType::kFloat32;
  // Of the manifest, or what a Tune has applied since.
  Tuning tuning;
  // Besides the manifest's: what is wrong with the files without damaging the
  // version.
  std::vector<std::string> warnings;

  uint64_t bytes_on_disk() const;
  // What the record itself takes.
  uint64_t resident_bytes() const;
  // For opening the version in `directory`.
  IndexDescription Describe(const std::string& directory,
                            FileSystem& files) const;
};

// The documents of a voice from their bytes; `path` is what errors name. They
// are DATA_LOSS if damaged, FAILED_PRECONDITION if a newer server wrote them.
absl::StatusOr<storage::Manifest> ManifestFromJson(absl::string_view json,
                                                   absl::string_view path);
absl::StatusOr<storage::SpeakerState> ParseSpeakerState(absl::string_view json,
                                                        absl::string_view path);
// Of an index of `spec`.
absl::StatusOr<Tuning> ParseTuning(absl::string_view json,
                                   const IndexSpec& spec,
                                   absl::string_view path);

// DATA_LOSS if anything in the manifest is not what Timbre writes.
absl::StatusOr<VersionRecord> ParseManifest(storage::Manifest manifest);

// The digest of a version: over "name digest\n" of its files.
std::string DigestOfFiles(const storage::Manifest& manifest);

// Puts `tuning` into a manifest that is not published yet.
void SetTuning(const Tuning& tuning, storage::Manifest& manifest);

// Reads DIRECTORY/manifest.json and tuning.json, and compares the sizes of the
// files that the manifest names. A damaged tuning.json is a warning. DATA_LOSS
// if it is missing, damaged, of another speaker or version, or if a file's size
// differs; other errors of file_error.h say nothing about the files.
absl::StatusOr<VersionRecord> ReadVersionRecord(const std::string& directory,
                                                const std::string& speaker,
                                                uint64_t version,
                                                FileSystem& files);

// Writes DIRECTORY/manifest.json, which must not exist, and syncs both.
absl::Status WriteManifest(const std::string& directory,
                           const storage::Manifest& manifest,
                           FileSystem& files);

// What takes the place of DIRECTORY/tuning.json and of a state.json when it is
// committed; until then it lies in `temporary_directory`.
absl::StatusOr<Replacement> PrepareTuning(
    const std::string& directory, const Tuning& tuning, FileSystem& files,
    const std::string& temporary_directory);
absl::StatusOr<Replacement> PrepareSpeakerState(
    const std::string& path, const storage::SpeakerState& state,
    FileSystem& files, const std::string& temporary_directory);

// DATA_LOSS if it is missing or damaged, FAILED_PRECONDITION if a newer server
// wrote it.
absl::StatusOr<storage::SpeakerState> ReadSpeakerState(const std::string& path,
                                                       FileSystem& files);

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_RECORDS_VERSION_RECORD_H_
