#include "server/base/file_system.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <random>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBufferBytes = 1 << 18;
constexpr size_t kRoomBeyondSize = 4096;

constexpr absl::string_view kTemporarySuffix = ".tmp";
constexpr size_t kTemporaryDigits = 16;

// A name that nobody else has: a file that an earlier process left, or a
// stranger, is never written over.
std::string TemporaryName(const std::string& name) {
  std::random_device random;
  const uint64_t number = uint64_t{random()} << 32 | random();
  return absl::StrCat(name, ".", absl::Hex(number, absl::kZeroPad16),
                      kTemporarySuffix);
}

}  // namespace

std::string ParentOf(const std::string& path) {
  const std::string parent = fs::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

FileDescriptor::FileDescriptor(FileDescriptor&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)) {}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

absl::StatusOr<InputFile> InputFile::Open(const std::string& path,
                                          FileSystem& files, Caching caching) {
  InputFile file;
  TIMBRE_ASSIGN_OR_RETURN(file.file_, files.Open(path, caching));
  return file;
}

absl::StatusOr<OutputFile> OutputFile::Create(const std::string& path,
                                              FileSystem& files,
                                              IfExists if_exists) {
  OutputFile file;
  file.path_ = path;
  TIMBRE_ASSIGN_OR_RETURN(file.file_, files.Create(path, if_exists));
  return file;
}

absl::Status OutputFile::Append(const void* data, size_t bytes) {
  if (buffer_.size() + bytes > kBufferBytes) TIMBRE_RETURN_IF_ERROR(Flush());
  if (bytes < kBufferBytes) {
    buffer_.append(static_cast<const char*>(data), bytes);
    return absl::OkStatus();
  }
  TIMBRE_RETURN_IF_ERROR(
      file_->Append({static_cast<const char*>(data), bytes}));
  written_ += bytes;
  return absl::OkStatus();
}

absl::Status OutputFile::WriteAt(uint64_t offset, absl::string_view data) {
  TIMBRE_RETURN_IF_ERROR(Flush());
  return file_->WriteAt(offset, data);
}

absl::Status OutputFile::Flush() {
  if (buffer_.empty()) return absl::OkStatus();
  TIMBRE_RETURN_IF_ERROR(file_->Append(buffer_));
  written_ += buffer_.size();
  buffer_.clear();
  return absl::OkStatus();
}

absl::Status OutputFile::Sync() {
  TIMBRE_RETURN_IF_ERROR(Flush());
  return file_->Sync();
}

absl::StatusOr<std::string> ReadFile(const std::string& path, FileSystem& files,
                                     uint64_t max_bytes) {
  TIMBRE_ASSIGN_OR_RETURN(InputFile file, InputFile::Open(path, files));
  TIMBRE_ASSIGN_OR_RETURN(const uint64_t size, file.Size());
  const auto too_large = [&] {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "FILE_TOO_LARGE",
        absl::StrCat(path, " has more than ", max_bytes, " bytes"));
  };
  if (size > max_bytes) return too_large();
  std::string contents;
  // Up to where it ends, not to its size: those of /proc and of cgroups have
  // none, and /proc/sys is read in one piece or not at all.
  for (size_t room = size > 0 ? size + 1 : kRoomBeyondSize;;
       room = kRoomBeyondSize) {
    const size_t filled = contents.size();
    contents.resize(filled + room);
    TIMBRE_ASSIGN_OR_RETURN(const size_t got,
                            file.Read(contents.data() + filled, room));
    contents.resize(filled + got);
    if (contents.size() > max_bytes) return too_large();
    if (got == 0) return contents;
  }
}

absl::StatusOr<uint64_t> FileSize(const std::string& path, FileSystem& files) {
  TIMBRE_ASSIGN_OR_RETURN(const FileStatus status, files.Stat(path));
  return status.bytes;
}

absl::Status WriteNewFile(const std::string& path, absl::string_view contents,
                          FileSystem& files) {
  const auto write = [&](OutputFile file) {
    TIMBRE_RETURN_IF_ERROR(file.Append(contents.data(), contents.size()));
    return file.Sync();
  };
  TIMBRE_ASSIGN_OR_RETURN(OutputFile file,
                          OutputFile::Create(path, files, IfExists::kFail));
  absl::Status status = write(std::move(file));
  if (!status.ok()) files.Remove(path).IgnoreError();
  return status;
}

absl::StatusOr<Replacement> Replacement::Prepare(
    const std::string& path, absl::string_view contents, FileSystem& files,
    const std::string& temporary_directory) {
  const std::string directory =
      temporary_directory.empty() ? ParentOf(path) : temporary_directory;
  const std::string temporary = absl::StrCat(
      directory, "/", TemporaryName(fs::path(path).filename().string()));
  TIMBRE_RETURN_IF_ERROR(WriteNewFile(temporary, contents, files));
  return Replacement(path, temporary, files);
}

Replacement::Replacement(Replacement&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, std::string())),
      files_(other.files_) {}

Replacement::~Replacement() {
  if (!temporary_.empty()) files_->Remove(temporary_).IgnoreError();
}

absl::Status Replacement::Commit() {
  TIMBRE_RETURN_IF_ERROR(files_->Rename(temporary_, path_));
  temporary_.clear();
  const absl::Status synced = files_->SyncDirectory(ParentOf(path_));
  return synced.ok() ? synced : OutcomeUnknown(synced);
}

absl::Status WriteFileDurably(const std::string& path,
                              absl::string_view contents, FileSystem& files) {
  TIMBRE_ASSIGN_OR_RETURN(Replacement replacement,
                          Replacement::Prepare(path, contents, files, ""));
  return replacement.Commit();
}

absl::Status OutcomeUnknown(const absl::Status& status) {
  return MakeError(
      absl::StatusCode::kUnknown, "OUTCOME_UNKNOWN",
      absl::StrCat("changed, but not for certain after a power cut: ",
                   status.message()));
}

bool IsTemporaryOf(absl::string_view name, absl::string_view of_name) {
  if (!absl::ConsumePrefix(&name, of_name) ||
      !absl::ConsumePrefix(&name, ".") ||
      !absl::ConsumeSuffix(&name, kTemporarySuffix)) {
    return false;
  }
  return name.size() == kTemporaryDigits &&
         name.find_first_not_of("0123456789abcdef") == absl::string_view::npos;
}

absl::Status RenameDurably(const std::string& from, const std::string& to,
                           FileSystem& files) {
  TIMBRE_RETURN_IF_ERROR(files.Rename(from, to));
  absl::Status status = files.SyncDirectory(ParentOf(to));
  if (ParentOf(from) != ParentOf(to)) {
    status.Update(files.SyncDirectory(ParentOf(from)));
  }
  return status.ok() ? status : OutcomeUnknown(status);
}

absl::Status MakeDirectories(const std::string& path, FileSystem& files) {
  const auto status = files.Stat(path);
  if (status.ok()) {
    return status->is_directory ? absl::OkStatus()
                                : FileError(ENOTDIR, "mkdir", path);
  }
  if (!absl::IsNotFound(status.status())) return status.status();
  const std::string parent = ParentOf(path);
  TIMBRE_RETURN_IF_ERROR(MakeDirectories(parent, files));
  const absl::Status made = files.MakeDirectory(path);
  if (!made.ok() && !absl::IsAlreadyExists(made)) return made;
  return files.SyncDirectory(parent);
}

absl::Status RemoveTree(const std::string& path, FileSystem& files) {
  const absl::Status removed = files.Remove(path);
  if (removed.ok() || absl::IsNotFound(removed)) return absl::OkStatus();
  if (!absl::IsFailedPrecondition(removed)) return removed;
  TIMBRE_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                          files.List(path));
  for (const std::string& name : names) {
    TIMBRE_RETURN_IF_ERROR(RemoveTree(absl::StrCat(path, "/", name), files));
  }
  return files.Remove(path);
}

absl::StatusOr<std::vector<std::string>> ListDirectory(
    const std::string& path) {
  return FileSystem::Posix().List(path);
}

absl::StatusOr<uint64_t> FreeDiskBytes(const std::string& path) {
  struct statvfs info {};
  if (::statvfs(path.c_str(), &info) != 0) {
    return FileError(errno, "statvfs", path);
  }
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

}  // namespace timbre
