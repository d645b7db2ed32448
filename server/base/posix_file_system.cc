// The machine's file system behind the interface.
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "server/base/checksum.h"
#include "server/base/errors.h"
#include "server/base/file_system.h"
#include "server/base/mapped_file.h"
#include "server/base/status_macros.h"

namespace timbre {
namespace {

class PosixReadableFile : public ReadableFile {
 public:
  PosixReadableFile(std::string path, FileDescriptor fd)
      : path_(std::move(path)), fd_(std::move(fd)) {}

  absl::StatusOr<size_t> Read(void* buffer, size_t bytes) override {
    while (true) {
      const ssize_t got = ::read(fd_.get(), buffer, bytes);
      if (got >= 0) return static_cast<size_t>(got);
      if (errno != EINTR) return FileError(errno, "read", path_);
    }
  }

  absl::StatusOr<uint64_t> Size() const override {
    struct stat info {};
    if (::fstat(fd_.get(), &info) != 0) return FileError(errno, "stat", path_);
    return static_cast<uint64_t>(info.st_size);
  }

 private:
  const std::string path_;
  const FileDescriptor fd_;
};

class PosixWritableFile : public WritableFile {
 public:
  PosixWritableFile(std::string path, FileDescriptor fd)
      : path_(std::move(path)), fd_(std::move(fd)) {}

  absl::Status Append(absl::string_view data) override {
    return WriteAll(data, [this](absl::string_view rest) {
      return ::write(fd_.get(), rest.data(), rest.size());
    });
  }

  absl::Status WriteAt(uint64_t offset, absl::string_view data) override {
    const char* const begin = data.data();
    return WriteAll(data, [&](absl::string_view rest) {
      return ::pwrite(fd_.get(), rest.data(), rest.size(),
                      static_cast<off_t>(
                          offset + static_cast<uint64_t>(rest.data() - begin)));
    });
  }

  absl::Status Sync() override {
    if (::fsync(fd_.get()) != 0) return FileError(errno, "fsync", path_);
    return absl::OkStatus();
  }

 private:
  // A limit may cut a write short: the next one says which.
  template <typename Write>
  absl::Status WriteAll(absl::string_view data, const Write& write) {
    while (!data.empty()) {
      const ssize_t written = write(data);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return FileError(errno, "write", path_);
      data.remove_prefix(static_cast<size_t>(written));
    }
    return absl::OkStatus();
  }

  const std::string path_;
  const FileDescriptor fd_;
};

absl::StatusOr<std::vector<std::string>> ReadNames(DIR* directory,
                                                   const std::string& path) {
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    const struct dirent* const entry = ::readdir(directory);
    if (entry == nullptr && errno != 0) return FileError(errno, "list", path);
    if (entry == nullptr) break;
    const absl::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

uint64_t IdentityOf(const struct stat& info) {
  const std::array<uint64_t, 7> parts = {
      info.st_dev,
      info.st_ino,
      static_cast<uint64_t>(info.st_size),
      static_cast<uint64_t>(info.st_mtim.tv_sec),
      static_cast<uint64_t>(info.st_mtim.tv_nsec),
      static_cast<uint64_t>(info.st_ctim.tv_sec),
      static_cast<uint64_t>(info.st_ctim.tv_nsec)};
  return HashOf(parts.data(), sizeof(parts));
}

class PosixFileSystem : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<ReadableFile>> Open(const std::string& path,
                                                     Caching caching) override {
    constexpr int kFlags = O_RDONLY | O_CLOEXEC;
    FileDescriptor fd;
    if (caching == Caching::kAround) {
      fd = FileDescriptor(::open(path.c_str(), kFlags | O_DIRECT));
    }
    // File systems without it, as tmpfs was, refuse it with EINVAL.
    if (caching == Caching::kUsual || (!fd.valid() && errno == EINVAL)) {
      fd = FileDescriptor(::open(path.c_str(), kFlags));
    }
    if (!fd.valid()) return FileError(errno, "open", path);
    return std::make_unique<PosixReadableFile>(path, std::move(fd));
  }

  absl::StatusOr<std::unique_ptr<WritableFile>> Create(
      const std::string& path, IfExists if_exists) override {
    const int existing = if_exists == IfExists::kFail ? O_EXCL : O_TRUNC;
    FileDescriptor fd(
        ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | existing, 0644));
    if (!fd.valid()) return FileError(errno, "create", path);
    return std::make_unique<PosixWritableFile>(path, std::move(fd));
  }

  absl::StatusOr<std::unique_ptr<MappedFile>> Map(
      const std::string& path, uint64_t expected_bytes) override {
    return MappedFile::Open(path, expected_bytes);
  }

  absl::StatusOr<FileDescriptor> Lock(const std::string& path) override {
    FileDescriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (!fd.valid()) return FileError(errno, "open", path);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
    if (errno != EWOULDBLOCK) return FileError(errno, "lock", path);
    return MakeError(absl::StatusCode::kFailedPrecondition, "FILE_LOCKED",
                     path + " is locked by another process");
  }

  absl::StatusOr<FileStatus> Stat(const std::string& path) override {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return FileError(errno, "stat", path);
    return FileStatus{.is_directory = S_ISDIR(info.st_mode),
                      .is_regular = S_ISREG(info.st_mode),
                      .bytes = static_cast<uint64_t>(info.st_size),
                      .identity = IdentityOf(info)};
  }

  absl::StatusOr<std::vector<std::string>> List(
      const std::string& path) override {
    DIR* const directory = ::opendir(path.c_str());
    if (directory == nullptr) return FileError(errno, "list", path);
    auto names = ReadNames(directory, path);
    ::closedir(directory);
    return names;
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
    return FileError(errno, "rename " + from + " to", to);
  }

  absl::Status MakeDirectory(const std::string& path) override {
    if (::mkdir(path.c_str(), 0755) == 0) return absl::OkStatus();
    return FileError(errno, "mkdir", path);
  }

  absl::Status Remove(const std::string& path) override {
    if (std::remove(path.c_str()) == 0) return absl::OkStatus();
    return FileError(errno == EEXIST ? ENOTEMPTY : errno, "remove", path);
  }

  absl::Status SyncDirectory(const std::string& path) override {
    return SyncOpened(path, ::fsync);
  }

  absl::Status SyncAll(const std::string& path) override {
    return SyncOpened(path, ::syncfs);
  }

 private:
  static absl::Status SyncOpened(const std::string& path, int (*sync)(int)) {
    const FileDescriptor fd(
        ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid()) return FileError(errno, "open", path);
    if (sync(fd.get()) != 0) return FileError(errno, "fsync", path);
    return absl::OkStatus();
  }
};

}  // namespace

FileSystem& FileSystem::Posix() {
  static auto* const posix = new PosixFileSystem;  // in use until the very end
  return *posix;
}

}  // namespace timbre
