#include "server/catalog/store/data_directory.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/errors.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/catalog/records/file_names.h"
#include "server/catalog/records/speaker_name.h"

namespace timbre {
namespace {

constexpr absl::string_view kFormat = "timbre 1\n";
constexpr absl::string_view kAnyFormat = "timbre ";
constexpr uint64_t kMaxFormatBytes = 4096;

using Names = std::vector<std::string>;

bool IsOfTheVolume(absl::string_view name) {
  return name == "lost+found" || name == ".snapshot";
}

bool IsUnfinishedFormat(absl::string_view name) {
  return IsTemporaryOf(name, kFormatFile);
}

absl::Status Refused(const std::string& directory, absl::string_view why) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "NOT_A_DATA_DIRECTORY",
      absl::StrCat("--data_dir=", directory, ": ", why,
                   "; nothing in it was touched. Name an empty directory, or "
                   "one that timbred has made"));
}

// A missing file is no error here.
absl::StatusOr<FileStatus> StatOrNothing(const std::string& path,
                                         FileSystem& files) {
  auto status = files.Stat(path);
  if (absl::IsNotFound(status.status())) return FileStatus();
  return status;
}

// Looks for traces of servers that wrote no FORMAT.
class Layout {
 public:
  Layout(const std::string& directory, const Names& names, FileSystem& files)
      : directory_(directory), names_(names), files_(files) {}

  // `names` are what lies in the directory.
  absl::StatusOr<bool> IsOurs() {
    TIMBRE_ASSIGN_OR_RETURN(const FileStatus speakers,
                            StatOrNothing(SpeakersDir(directory_), files_));
    if (!speakers.is_directory) return false;
    TIMBRE_ASSIGN_OR_RETURN(const Names voices,
                            files_.List(SpeakersDir(directory_)));
    bool empty = true;
    absl::Status error;  // one voice that cannot be read is not all of them
    for (const std::string& voice : voices) {
      const auto contents = Look(voice);
      if (!contents.ok()) error.Update(contents.status());
      if (contents.ok() && *contents == Contents::kVoice) return true;
      empty = empty && contents.ok() && *contents == Contents::kNothing;
    }
    TIMBRE_RETURN_IF_ERROR(error);
    if (!empty) return false;
    return IsWithoutVoices();
  }

 private:
  enum class Contents { kNothing, kVoice, kOther };

  // Of speakers/<name>.
  absl::StatusOr<Contents> Look(const std::string& name) {
    if (!CheckSpeakerName(name).ok()) return Contents::kOther;
    const std::string path = SpeakerDir(directory_, name);
    TIMBRE_ASSIGN_OR_RETURN(const FileStatus status, files_.Stat(path));
    if (!status.is_directory) return Contents::kOther;
    TIMBRE_ASSIGN_OR_RETURN(const FileStatus state,
                            StatOrNothing(StatePath(directory_, name), files_));
    if (state.is_regular) return Contents::kVoice;
    TIMBRE_ASSIGN_OR_RETURN(const Names entries, files_.List(path));
    for (const std::string& entry : entries) {
      if (!ParseVersion(entry)) continue;
      TIMBRE_ASSIGN_OR_RETURN(
          const FileStatus manifest,
          StatOrNothing(absl::StrCat(path, "/", entry, "/", kManifestFile),
                        files_));
      if (manifest.is_regular) return Contents::kVoice;
    }
    return entries.empty() ? Contents::kNothing : Contents::kOther;
  }

  // What a server leaves that never published: LOCK, staging/, speakers/ and
  // nothing else, and in them nothing that is not its own.
  absl::StatusOr<bool> IsWithoutVoices() {
    for (const std::string& name : names_) {
      if (name != "LOCK" && name != "staging" && name != "speakers" &&
          name != kFormatFile && !IsOfTheVolume(name) &&
          !IsUnfinishedFormat(name)) {
        return false;
      }
    }
    TIMBRE_ASSIGN_OR_RETURN(const FileStatus lock,
                            StatOrNothing(LockPath(directory_), files_));
    if (!lock.is_regular || lock.bytes != 0) return false;
    const auto staged = files_.List(StagingDir(directory_));
    if (absl::IsNotFound(staged.status())) return true;
    TIMBRE_RETURN_IF_ERROR(staged.status());
    return std::all_of(staged->begin(), staged->end(), IsStagingName);
  }

  const std::string& directory_;
  const Names& names_;
  FileSystem& files_;
};

// What FORMAT says. True: it is the one that this server reads; false: there
// is none that was finished.
absl::StatusOr<bool> ReadFormat(const std::string& directory,
                                FileSystem& files) {
  const auto text = ReadFile(FormatPath(directory), files, kMaxFormatBytes);
  if (absl::IsNotFound(text.status())) return false;
  if (absl::IsFailedPrecondition(text.status())) {
    return Refused(directory, "its FORMAT is not one of Timbre's");
  }
  TIMBRE_RETURN_IF_ERROR(text.status());
  if (*text == kFormat) return true;
  if (absl::StartsWith(kFormat, *text)) return false;
  if (absl::StartsWith(*text, kAnyFormat)) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "OTHER_FORMAT",
        absl::StrCat("--data_dir=", directory, ": has format \"",
                     Printable(absl::StripSuffix(*text, "\n")),
                     "\"; this server reads \"timbre 1\". Nothing in it was "
                     "touched"));
  }
  return Refused(directory, "its FORMAT is not one of Timbre's");
}

absl::Status RefusedFor(const std::string& directory, const Names& names) {
  for (const std::string& name : names) {
    if (IsOfTheVolume(name) || IsUnfinishedFormat(name) ||
        name == kFormatFile) {
      continue;
    }
    return Refused(directory,
                   absl::StrCat("is neither empty nor a data directory of "
                                "Timbre: it holds \"",
                                Printable(name), "\""));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ClaimDataDirectory(const std::string& directory,
                                FileSystem& files) {
  TIMBRE_RETURN_IF_ERROR(MakeDirectories(directory, files));
  TIMBRE_ASSIGN_OR_RETURN(const bool finished, ReadFormat(directory, files));
  if (finished) return absl::OkStatus();
  TIMBRE_ASSIGN_OR_RETURN(const Names names, files.List(directory));
  if (const absl::Status refused = RefusedFor(directory, names);
      !refused.ok()) {
    TIMBRE_ASSIGN_OR_RETURN(const bool ours,
                            Layout(directory, names, files).IsOurs());
    if (!ours) return refused;
  }
  return WriteFileDurably(FormatPath(directory), kFormat, files);
}

void RemoveLeftovers(const std::string& directory, FileSystem& files) {
  const auto report = [](const std::string& path, absl::string_view why) {
    Log(LogLevel::kWarning, "leftover_not_removed",
        {{"path", path}, {"error", std::string(why)}});
  };
  const auto remove = [&](const std::string& from,
                          absl::FunctionRef<bool(absl::string_view)> is_ours) {
    const auto names = files.List(from);
    if (!names.ok()) return report(from, names.status().message());
    for (const std::string& name : *names) {
      const std::string path = absl::StrCat(from, "/", name);
      if (!is_ours(name)) {
        if (from != directory) report(path, "no server has made it");
      } else if (const auto status = RemoveTree(path, files); !status.ok()) {
        report(path, status.message());
      }
    }
  };
  remove(directory, IsUnfinishedFormat);
  remove(StagingDir(directory), IsStagingName);
}

}  // namespace timbre
