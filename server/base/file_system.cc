#include "server/base/file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"

namespace timbre {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBufferBytes = 1 << 18;
constexpr size_t kRoomBeyondSize = 4096;

std::string ParentOf(const std::string& path) {
  const std::string parent = fs::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

absl::Status WriteAll(int fd, const char* data, size_t bytes,
                      const std::string& path) {
  while (bytes > 0) {
    const ssize_t written = ::write(fd, data, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return FileError(errno, "write", path);
    data += written;
    bytes -= static_cast<size_t>(written);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status FileError(int errno_value, absl::string_view operation,
                       const std::string& path) {
  const std::string text = absl::StrCat(
      operation, " ", path, ": ", std::generic_category().message(errno_value));
  switch (errno_value) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return MakeError(absl::StatusCode::kResourceExhausted, "DISK_FULL", text);
    case ENOENT:
      return MakeError(absl::StatusCode::kNotFound, "FILE_NOT_FOUND", text);
    default:
      return MakeError(absl::StatusCode::kInternal, "STORAGE_ERROR", text);
  }
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

absl::StatusOr<InputFile> InputFile::Open(const std::string& path) {
  InputFile file;
  file.path_ = path;
  file.fd_ = FileDescriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.fd_.valid()) return FileError(errno, "open", path);
  return file;
}

absl::StatusOr<size_t> InputFile::Read(void* buffer, size_t bytes) {
  while (true) {
    const ssize_t got = ::read(fd_.get(), buffer, bytes);
    if (got >= 0) return static_cast<size_t>(got);
    if (errno != EINTR) return FileError(errno, "read", path_);
  }
}

absl::StatusOr<uint64_t> InputFile::Size() const {
  struct stat info {};
  if (::fstat(fd_.get(), &info) != 0) return FileError(errno, "stat", path_);
  return static_cast<uint64_t>(info.st_size);
}

absl::StatusOr<OutputFile> OutputFile::Create(const std::string& path) {
  OutputFile file;
  file.path_ = path;
  file.fd_ = FileDescriptor(
      ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!file.fd_.valid()) return FileError(errno, "create", path);
  return file;
}

absl::Status OutputFile::Append(const void* data, size_t bytes) {
  if (buffer_.size() + bytes > kBufferBytes) TIMBRE_RETURN_IF_ERROR(Flush());
  if (bytes < kBufferBytes) {
    buffer_.append(static_cast<const char*>(data), bytes);
    return absl::OkStatus();
  }
  TIMBRE_RETURN_IF_ERROR(
      WriteAll(fd_.get(), static_cast<const char*>(data), bytes, path_));
  written_ += bytes;
  return absl::OkStatus();
}

absl::Status OutputFile::WriteAt(uint64_t offset, absl::string_view data) {
  TIMBRE_RETURN_IF_ERROR(Flush());
  const ssize_t written =
      ::pwrite(fd_.get(), data.data(), data.size(), static_cast<off_t>(offset));
  if (written != static_cast<ssize_t>(data.size())) {
    return FileError(written < 0 ? errno : ENOSPC, "write", path_);
  }
  return absl::OkStatus();
}

absl::Status OutputFile::Flush() {
  TIMBRE_RETURN_IF_ERROR(
      WriteAll(fd_.get(), buffer_.data(), buffer_.size(), path_));
  written_ += buffer_.size();
  buffer_.clear();
  return absl::OkStatus();
}

absl::Status OutputFile::Sync() {
  TIMBRE_RETURN_IF_ERROR(Flush());
  if (::fsync(fd_.get()) != 0) return FileError(errno, "fsync", path_);
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  TIMBRE_ASSIGN_OR_RETURN(InputFile file, InputFile::Open(path));
  TIMBRE_ASSIGN_OR_RETURN(const uint64_t size, file.Size());
  std::string contents;
  // Up to where it ends, not to its size: those of /proc and of cgroups have
  // none.
  for (size_t room = size + 1;; room = kRoomBeyondSize) {
    const size_t filled = contents.size();
    contents.resize(filled + room);
    TIMBRE_ASSIGN_OR_RETURN(const size_t got,
                            file.Read(contents.data() + filled, room));
    contents.resize(filled + got);
    if (got == 0) return contents;
  }
}

absl::StatusOr<uint64_t> FileSize(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return FileError(errno, "stat", path);
  return static_cast<uint64_t>(info.st_size);
}

absl::Status WriteFileDurably(const std::string& path,
                              absl::string_view contents) {
  const std::string temporary = path + ".tmp";
  {
    TIMBRE_ASSIGN_OR_RETURN(OutputFile file, OutputFile::Create(temporary));
    TIMBRE_RETURN_IF_ERROR(file.Append(contents.data(), contents.size()));
    TIMBRE_RETURN_IF_ERROR(file.Sync());
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    return FileError(errno, "rename", path);
  }
  return SyncDirectory(ParentOf(path));
}

absl::Status RenameDurably(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    return FileError(errno, absl::StrCat("rename ", from, " to"), to);
  }
  TIMBRE_RETURN_IF_ERROR(SyncDirectory(ParentOf(to)));
  return ParentOf(from) == ParentOf(to) ? absl::OkStatus()
                                        : SyncDirectory(ParentOf(from));
}

absl::Status SyncDirectory(const std::string& path) {
  const FileDescriptor fd(
      ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return FileError(errno, "open", path);
  if (::fsync(fd.get()) != 0) return FileError(errno, "fsync", path);
  return absl::OkStatus();
}

absl::Status MakeDirectories(const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return absl::OkStatus();
  const std::string parent = ParentOf(path);
  TIMBRE_RETURN_IF_ERROR(MakeDirectories(parent));
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
    return FileError(errno, "mkdir", path);
  }
  return SyncDirectory(parent);
}

absl::Status RemoveTree(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) return FileError(error.value(), "remove", path);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ListDirectory(
    const std::string& path) {
  std::error_code error;
  std::vector<std::string> names;
  fs::directory_iterator it(path, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  if (error) return FileError(error.value(), "list", path);
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<uint64_t> FreeDiskBytes(const std::string& path) {
  struct statvfs info {};
  if (::statvfs(path.c_str(), &info) != 0) {
    return FileError(errno, "statvfs", path);
  }
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

}  // namespace timbre
