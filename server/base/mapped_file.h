// A read-only memory map that outlives its file's misfortunes.
//
// When a mapped file shrinks, or its disk fails to read a page, the kernel
// sends SIGBUS to whoever touches the page. The handler that this module
// installs maps zeros in place of the rest of the file, marks the map as
// damaged and lets the reader go on; whoever reads checks damaged() afterwards
// and throws its result away. So a broken file costs one voice, not the server.
#ifndef TIMBRE_SERVER_BASE_MAPPED_FILE_H_
#define TIMBRE_SERVER_BASE_MAPPED_FILE_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/base/file_system.h"

namespace timbre {

// Thread-safe: everything is const. The destructor unmaps, which may take
// milliseconds for a large map.
class MappedFile {
 public:
  // Maps the whole file. DATA_LOSS if it cannot be opened or its size is not
  // `expected_bytes`.
  static absl::StatusOr<std::unique_ptr<MappedFile>> Open(
      const std::string& path, size_t expected_bytes);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const char* data() const { return data_; }
  size_t size() const { return size_; }
  const std::string& path() const { return path_; }

  // Whether a page could not be read since Open. Once true, stays true.
  bool damaged() const;
  // DATA_LOSS if damaged(), or if the file is shorter than it was: what it lost
  // of its last page reads as zeros without a signal.
  absl::Status Check() const;

  // Reads bytes [offset, offset + bytes), best a huge page (huge_page.h) that
  // begins at a multiple of one, from the disk where they are not in
  // memory, into huge pages where the file system has them, and maps them:
  // touching them takes no page fault then, and fewer misses of the address
  // translation. Only a favour (Linux 5.14 or newer): says nothing of what
  // cannot be read.
  void Prefault(size_t offset, size_t bytes) const;

  // Whether nobody asked before.
  bool FirstUse() const { return !used_.exchange(true); }

  // Says that bytes [offset, offset + bytes) are not needed for now.
  void Release(size_t offset, size_t bytes) const;

 private:
  MappedFile(std::string path, FileDescriptor fd, char* data, size_t size,
             int slot)
      : path_(std::move(path)),
        fd_(std::move(fd)),
        data_(data),
        size_(size),
        slot_(slot) {}

  const std::string path_;
  const FileDescriptor fd_;
  char* const data_;
  const size_t size_;
  const int slot_;  // in the table that the signal handler reads
  mutable std::atomic<bool> used_{false};
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_MAPPED_FILE_H_
