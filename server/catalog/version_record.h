// What is known of a version without opening it.
#ifndef TIMBRE_SERVER_CATALOG_VERSION_RECORD_H_
#define TIMBRE_SERVER_CATALOG_VERSION_RECORD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/engine/operating_point.h"
#include "server/engine/speaker_index.h"
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
  // For opening the version in `directory`.
  IndexDescription Describe(const std::string& directory) const;
};

// DATA_LOSS if anything in the manifest is not what Timbre writes.
absl::StatusOr<VersionRecord> UnderstandManifest(storage::Manifest manifest);

// The digest of a version: over "name digest\n" of its files.
std::string DigestOfFiles(const storage::Manifest& manifest);

// Puts `tuning` into a manifest that is not published yet.
void SetTuning(const Tuning& tuning, storage::Manifest& manifest);

// Reads DIRECTORY/manifest.json and tuning.json, and compares the sizes of the
// files that the manifest names. A damaged tuning.json is a warning. DATA_LOSS
// if it is missing, damaged, of another speaker or version, or if a file's size
// differs.
absl::StatusOr<VersionRecord> ReadVersionRecord(const std::string& directory,
                                                const std::string& speaker,
                                                uint64_t version);

absl::Status WriteManifest(const std::string& directory,
                           const storage::Manifest& manifest);

// Replaces DIRECTORY/tuning.json.
absl::Status WriteTuning(const std::string& directory, const Tuning& tuning);

// DATA_LOSS if it is missing or damaged, FAILED_PRECONDITION if a newer server
// wrote it.
absl::StatusOr<storage::SpeakerState> ReadSpeakerState(const std::string& path);
absl::Status WriteSpeakerState(const std::string& path,
                               const storage::SpeakerState& state);

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_VERSION_RECORD_H_
