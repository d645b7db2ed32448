// The few file operations that durability is made of. A full disk is
// RESOURCE_EXHAUSTED, a missing file NOT_FOUND, everything else INTERNAL; the
// text always holds the path. Free functions are thread-safe; objects are not.
#ifndef TIMBRE_SERVER_BASE_FILE_SYSTEM_H_
#define TIMBRE_SERVER_BASE_FILE_SYSTEM_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace timbre {

// An error from `errno_value`: "<operation> <path>: <text of errno>".
absl::Status FileError(int errno_value, absl::string_view operation,
                       const std::string& path);

// A file descriptor that closes itself.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept;
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// Reads a file from its beginning.
class InputFile {
 public:
  static absl::StatusOr<InputFile> Open(const std::string& path);
  // Up to `bytes`; 0 at the end of the file.
  absl::StatusOr<size_t> Read(void* buffer, size_t bytes);
  absl::StatusOr<uint64_t> Size() const;

 private:
  std::string path_;
  FileDescriptor fd_;
};

// Writes a new file from its beginning, buffered.
class OutputFile {
 public:
  // Creates `path`, or truncates it.
  static absl::StatusOr<OutputFile> Create(const std::string& path);
  absl::Status Append(const void* data, size_t bytes);
  // Overwrites bytes that were appended before.
  absl::Status WriteAt(uint64_t offset, absl::string_view data);
  absl::Status Flush();
  // Flush and fsync: the bytes are on the disk when this returns OK.
  absl::Status Sync();
  uint64_t size() const { return written_ + buffer_.size(); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  FileDescriptor fd_;
  std::string buffer_;
  uint64_t written_ = 0;
};

absl::StatusOr<std::string> ReadFile(const std::string& path);
absl::StatusOr<uint64_t> FileSize(const std::string& path);

// Replaces `path` whole: temporary file, fsync, rename, fsync of the directory.
absl::Status WriteFileDurably(const std::string& path,
                              absl::string_view contents);
// Renames and syncs both parent directories.
absl::Status RenameDurably(const std::string& from, const std::string& to);
absl::Status SyncDirectory(const std::string& path);

// mkdir -p; the created entries are synced.
absl::Status MakeDirectories(const std::string& path);
// rm -r; a missing path is OK.
absl::Status RemoveTree(const std::string& path);
// Names, without "." and "..", sorted.
absl::StatusOr<std::vector<std::string>> ListDirectory(const std::string& path);
// What an unprivileged process may still write to the file system of `path`.
absl::StatusOr<uint64_t> FreeDiskBytes(const std::string& path);

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_FILE_SYSTEM_H_
