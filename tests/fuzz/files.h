// Files in memory, for readers that take a path.
#ifndef TIMBRE_TESTS_FUZZ_FILES_H_
#define TIMBRE_TESTS_FUZZ_FILES_H_

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "absl/strings/string_view.h"
#include "tests/fuzz/fuzzing.h"

namespace timbre::fuzz {

// A file without a directory; path() is where this process finds it.
class MemoryFile {
 public:
  MemoryFile() : fd_(memfd_create("fuzz", MFD_CLOEXEC)) {
    Require(fd_ >= 0, "there is memory for a file");
  }
  explicit MemoryFile(absl::string_view contents) : MemoryFile() {
    const auto size = static_cast<ssize_t>(contents.size());
    Require(write(fd_, contents.data(), contents.size()) == size,
            "the file takes its contents");
  }
  ~MemoryFile() { close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  const int fd_;
};

// A directory in memory where the system has such a place, for the life of the
// process.
class MemoryDirectory {
 public:
  MemoryDirectory() {
    namespace fs = std::filesystem;
    const fs::path shm = "/dev/shm";
    const fs::path base = fs::is_directory(shm) && access("/dev/shm", W_OK) == 0
                              ? shm
                              : fs::temp_directory_path();
    std::string name = base / "timbre_fuzz.XXXXXX";
    Require(mkdtemp(name.data()) != nullptr, "a directory can be made");
    path_ = name;
  }
  ~MemoryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  MemoryDirectory(const MemoryDirectory&) = delete;
  MemoryDirectory& operator=(const MemoryDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string File(absl::string_view name) const {
    return path_ + "/" + std::string(name);
  }
  // A file that holds `contents`, and zeros up to `size`.
  void Write(absl::string_view name, absl::string_view contents,
             uint64_t size = 0) const {
    const std::string path = File(name);
    const int fd = open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    Require(fd >= 0, "a file can be made", path);
    Require(write(fd, contents.data(), contents.size()) ==
                static_cast<ssize_t>(contents.size()),
            "the file takes its contents", path);
    if (size > contents.size()) {
      Require(ftruncate(fd, static_cast<off_t>(size)) == 0,
              "the file has holes", path);
    }
    close(fd);
  }
  void Remove(absl::string_view name) const { unlink(File(name).c_str()); }

 private:
  std::string path_;
};

}  // namespace timbre::fuzz

#endif  // TIMBRE_TESTS_FUZZ_FILES_H_
