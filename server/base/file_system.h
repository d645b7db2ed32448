// Files, as far as durability needs them: one seam for every operation of the
// catalogue and the builder, and what is put together from such operations.
//
// Errors are those of file_error.h; the text always holds the path.
#ifndef TIMBRE_SERVER_BASE_FILE_SYSTEM_H_
#define TIMBRE_SERVER_BASE_FILE_SYSTEM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/file_error.h"

namespace timbre {

class MappedFile;

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

// What reading does to the machine's page cache.
enum class Caching {
  kUsual,
  // Leaves it alone where the file system can (O_DIRECT): what is read is what
  // the disk has, and what others use stays. Reads are into buffers at
  // multiples of kDirectAlignment, of multiples of it.
  kAround,
};
inline constexpr size_t kDirectAlignment = 4096;

// A file that is read from its beginning. Not thread-safe.
class ReadableFile {
 public:
  virtual ~ReadableFile() = default;
  // Up to `bytes`; 0 at the end of the file.
  virtual absl::StatusOr<size_t> Read(void* buffer, size_t bytes) = 0;
  virtual absl::StatusOr<uint64_t> Size() const = 0;
};

// A file that is written from its beginning, unbuffered. Not thread-safe.
class WritableFile {
 public:
  virtual ~WritableFile() = default;
  virtual absl::Status Append(absl::string_view data) = 0;
  // Overwrites bytes that were appended before.
  virtual absl::Status WriteAt(uint64_t offset, absl::string_view data) = 0;
  // fsync. Never repeated after it failed: Linux may call the second one good
  // though the bytes are lost. What failed is written anew, as another file.
  virtual absl::Status Sync() = 0;
};

struct FileStatus {
  bool is_directory = false;
  bool is_regular = false;
  uint64_t bytes = 0;
  // Together another number as soon as somebody writes the file or puts another
  // one in its place: of device, inode, size, and the times of change.
  uint64_t identity = 0;
};

enum class IfExists { kTruncate, kFail };

// The operations themselves, one system call or nearly so each. Thread-safe.
// Tests put their own in place of the machine's.
class FileSystem {
 public:
  // The machine's.
  static FileSystem& Posix();

  virtual ~FileSystem() = default;
  virtual absl::StatusOr<std::unique_ptr<ReadableFile>> Open(
      const std::string& path, Caching caching) = 0;
  virtual absl::StatusOr<std::unique_ptr<WritableFile>> Create(
      const std::string& path, IfExists if_exists) = 0;
  // See MappedFile::Open: what is read of the map goes past this interface.
  virtual absl::StatusOr<std::unique_ptr<MappedFile>> Map(
      const std::string& path, uint64_t expected_bytes) = 0;
  // flock(2) on `path`, created where it does not exist, for as long as the
  // descriptor is open. FAILED_PRECONDITION where somebody else has it.
  virtual absl::StatusOr<FileDescriptor> Lock(const std::string& path) = 0;
  // Follows symbolic links.
  virtual absl::StatusOr<FileStatus> Stat(const std::string& path) = 0;
  // Names, without "." and "..", sorted.
  virtual absl::StatusOr<std::vector<std::string>> List(
      const std::string& path) = 0;
  // Replaces `to`.
  virtual absl::Status Rename(const std::string& from,
                              const std::string& to) = 0;
  virtual absl::Status MakeDirectory(const std::string& path) = 0;
  // A file, a symbolic link, or an empty directory.
  virtual absl::Status Remove(const std::string& path) = 0;
  virtual absl::Status SyncDirectory(const std::string& path) = 0;
  // Everything that was written to the file system which `path` lies on.
  virtual absl::Status SyncAll(const std::string& path) = 0;
};

// Reads a file from its beginning. Not thread-safe.
class InputFile {
 public:
  static absl::StatusOr<InputFile> Open(const std::string& path,
                                        FileSystem& files = FileSystem::Posix(),
                                        Caching caching = Caching::kUsual);
  // Up to `bytes`; 0 at the end of the file.
  absl::StatusOr<size_t> Read(void* buffer, size_t bytes) {
    return file_->Read(buffer, bytes);
  }
  absl::StatusOr<uint64_t> Size() const { return file_->Size(); }

 private:
  std::unique_ptr<ReadableFile> file_;
};

// Writes a new file from its beginning, buffered. Not thread-safe.
class OutputFile {
 public:
  static absl::StatusOr<OutputFile> Create(
      const std::string& path, FileSystem& files = FileSystem::Posix(),
      IfExists if_exists = IfExists::kTruncate);
  absl::Status Append(const void* data, size_t bytes);
  // Overwrites bytes that were appended before.
  absl::Status WriteAt(uint64_t offset, absl::string_view data);
  absl::Status Flush();
  // Flush and fsync: the bytes are on the disk when this returns OK. See
  // WritableFile::Sync.
  absl::Status Sync();
  uint64_t size() const { return written_ + buffer_.size(); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::unique_ptr<WritableFile> file_;
  std::string buffer_;
  uint64_t written_ = 0;
};

// Thread-safe, all of them.

// FAILED_PRECONDITION where it has more than `max_bytes`.
absl::StatusOr<std::string> ReadFile(const std::string& path,
                                     FileSystem& files = FileSystem::Posix(),
                                     uint64_t max_bytes = UINT64_MAX);
absl::StatusOr<uint64_t> FileSize(const std::string& path,
                                  FileSystem& files = FileSystem::Posix());

// A new file with `contents`, synced; its directory is not. ALREADY_EXISTS
// where there is one. What fails leaves no file behind.
absl::Status WriteNewFile(const std::string& path, absl::string_view contents,
                          FileSystem& files = FileSystem::Posix());

// What will take the place of a file: written and synced already, as a new
// file with a name that nobody else has. Not thread-safe.
class Replacement {
 public:
  // `contents` for `path`, in `temporary_directory` until they take its place:
  // of the same file system; "": where `path` is.
  static absl::StatusOr<Replacement> Prepare(
      const std::string& path, absl::string_view contents, FileSystem& files,
      const std::string& temporary_directory);
  // Removes it unless it was committed.
  ~Replacement();
  Replacement(Replacement&& other) noexcept;
  Replacement& operator=(Replacement&&) = delete;

  // Replaces the file whole: rename, fsync of its directory. An error leaves it
  // as it was, except UNKNOWN OUTCOME_UNKNOWN: then it is replaced, but may be
  // the old one after a power cut. At most once.
  absl::Status Commit();

 private:
  Replacement(std::string path, std::string temporary, FileSystem& files)
      : path_(std::move(path)),
        temporary_(std::move(temporary)),
        files_(&files) {}

  std::string path_;
  std::string temporary_;  // empty: committed
  FileSystem* files_;
};

// Prepares and commits a Replacement where `path` is.
absl::Status WriteFileDurably(const std::string& path,
                              absl::string_view contents,
                              FileSystem& files = FileSystem::Posix());
// Whether `name` is that of a replacement of `of_name` which was left because
// the process ended.
bool IsTemporaryOf(absl::string_view name, absl::string_view of_name);

// UNKNOWN OUTCOME_UNKNOWN: something was changed, but an fsync failed with
// `status`; after a power cut it may not have been.
absl::Status OutcomeUnknown(const absl::Status& status);

// Renames and syncs both parent directories; OUTCOME_UNKNOWN where that fails.
absl::Status RenameDurably(const std::string& from, const std::string& to,
                           FileSystem& files = FileSystem::Posix());

// mkdir -p; the created entries are synced.
absl::Status MakeDirectories(const std::string& path,
                             FileSystem& files = FileSystem::Posix());
// rm -r, follows no symbolic link; a missing path is OK.
absl::Status RemoveTree(const std::string& path,
                        FileSystem& files = FileSystem::Posix());
// Names, without "." and "..", sorted.
absl::StatusOr<std::vector<std::string>> ListDirectory(const std::string& path);
// What an unprivileged process may still write to the file system of `path`.
absl::StatusOr<uint64_t> FreeDiskBytes(const std::string& path);
// "." for a name alone.
std::string ParentOf(const std::string& path);

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_FILE_SYSTEM_H_
