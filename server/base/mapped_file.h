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
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/base/file_system.h"

namespace timbre {

// Thread-safe: everything is const. The destructor unmaps, which may take
// milliseconds for a large map.
class MappedFile {
 public:
  // Maps the whole file, and holds no descriptor of it: deleted or replaced it
  // stays what it was. DATA_LOSS if it does not exist or its size is not
  // `expected_bytes`; RESOURCE_EXHAUSTED without a descriptor or a map to have.
  static absl::StatusOr<std::unique_ptr<MappedFile>> Open(
      const std::string& path, size_t expected_bytes);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const char* data() const { return data_; }
  size_t size() const { return size_; }
  const std::string& path() const { return path_; }

  // Whether a page could not be read since Open, a Check found the file shorter
  // than it was, or somebody said so. Once true, stays true. Touches no page.
  bool damaged() const;
  // DATA_LOSS if damaged(). Touches no page.
  absl::Status Damage() const;
  // The file is not what it was, which the map cannot tell.
  void SayDamaged() const { said_.store(true); }
  // DATA_LOSS if damaged(), or if bytes are gone from the end of the file: what
  // it lost of its last page reads as zeros without a signal. Costs a look at
  // one byte, no system call; may read a page of the disk.
  absl::Status Check() const;

  // Reads bytes [offset, offset + bytes), best a huge page (huge_page.h) that
  // begins at a multiple of one, from the disk where they are not in
  // memory, into huge pages where the file system has them, and maps them:
  // touching them takes no page fault then, and fewer misses of the address
  // translation. Only a favour (Linux 5.14 or newer): says nothing of what
  // cannot be read.
  void Prefault(size_t offset, size_t bytes) const;

  // How often it was called, this time included; up to some thousand millions.
  uint32_t CountUse() const { return uses_.fetch_add(1) + 1; }
  uint32_t uses() const { return uses_.load(); }
  // Prefaults the huge page at warm_bytes(), which counts it then: from the
  // beginning without a gap, also where several threads do it at a time.
  void WarmOn() const;
  size_t warm_bytes() const { return warm_bytes_.load(); }
  // Whether the caller is to warm all of it: one is.
  bool StartWarming() const { return !warming_.exchange(true); }

  // Says that nobody will touch it soon: where little memory is free (no more
  // than two files like it take), be it that the page cache has the rest, its
  // pages are given back, since others would be displaced for the next ones
  // that are read (Linux 5.4 or newer).
  void SayCold() const;

  // Says that bytes [offset, offset + bytes) are not needed for now.
  void Release(size_t offset, size_t bytes) const;

 private:
  // The last byte of the file that is not zero, as far as its last page goes. A
  // file that becomes shorter loses it, or nothing but zeros.
  struct Mark {
    uint64_t offset = 0;
    char value = 0;
  };
  static absl::StatusOr<Mark> MarkOf(int fd, const std::string& path,
                                     uint64_t size);

  MappedFile(std::string path, char* data, size_t size, Mark mark, int slot)
      : path_(std::move(path)),
        data_(data),
        size_(size),
        mark_(mark),
        slot_(slot) {}

  const std::string path_;
  char* const data_;
  const size_t size_;
  const Mark mark_;
  const int slot_;  // in the table that the signal handler reads
  mutable std::atomic<bool> shrank_{false};
  mutable std::atomic<uint32_t> uses_{0};
  mutable std::atomic<size_t> warm_bytes_{0};
  mutable std::atomic<bool> warming_{false};
  mutable std::atomic<bool> said_{false};
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_MAPPED_FILE_H_
