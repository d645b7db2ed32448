#include "server/catalog/records/file_names.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/base/file_system.h"
#include "server/catalog/records/speaker_name.h"

namespace timbre {

std::string FilePath(absl::string_view directory, absl::string_view file) {
  return absl::StrCat(directory, "/", file);
}

std::string LockPath(absl::string_view data_dir) {
  return absl::StrCat(data_dir, "/LOCK");
}

std::string FormatPath(absl::string_view data_dir) {
  return absl::StrCat(data_dir, "/", kFormatFile);
}

std::string StagingDir(absl::string_view data_dir) {
  return absl::StrCat(data_dir, "/staging");
}

std::string SpeakersDir(absl::string_view data_dir) {
  return absl::StrCat(data_dir, "/speakers");
}

std::string SpeakerDir(absl::string_view data_dir, absl::string_view speaker) {
  return absl::StrCat(SpeakersDir(data_dir), "/", speaker);
}

std::string StatePath(absl::string_view data_dir, absl::string_view speaker) {
  return absl::StrCat(SpeakerDir(data_dir, speaker), "/", kStateFile);
}

std::string VersionDir(absl::string_view data_dir, absl::string_view speaker,
                       uint64_t version) {
  return absl::StrCat(SpeakerDir(data_dir, speaker), "/", version);
}

std::string StagedDir(absl::string_view data_dir, absl::string_view speaker,
                      uint64_t n) {
  return absl::StrCat(StagingDir(data_dir), "/", speaker, ".", n);
}

bool IsStagingName(absl::string_view name) {
  if (IsTemporaryOf(name, kStateFile) || IsTemporaryOf(name, kTuningFile)) {
    return true;
  }
  const size_t dot = name.rfind('.');
  return dot != absl::string_view::npos &&
         CheckSpeakerName(name.substr(0, dot)).ok() &&
         ParseVersion(name.substr(dot + 1)).has_value();
}

std::optional<uint64_t> ParseVersion(absl::string_view name) {
  uint64_t version = 0;
  if (!absl::SimpleAtoi(name, &version) || version == 0) return std::nullopt;
  if (version > kMaxVersion || absl::StrCat(version) != name) {
    return std::nullopt;
  }
  return version;
}

}  // namespace timbre
