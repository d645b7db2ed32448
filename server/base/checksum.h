// XXH3-128 digests, printed as "xxh3-128:<32 hex digits>".
#ifndef TIMBRE_SERVER_BASE_CHECKSUM_H_
#define TIMBRE_SERVER_BASE_CHECKSUM_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/file_system.h"

struct XXH3_state_s;

namespace timbre {

// A digest over data that comes in pieces. Not thread-safe.
class Checksum {
 public:
  Checksum();
  ~Checksum();
  Checksum(const Checksum&) = delete;
  Checksum& operator=(const Checksum&) = delete;

  void Update(const void* data, size_t bytes);
  std::string Digest() const;

 private:
  XXH3_state_s* state_;
};

std::string DigestOf(absl::string_view data);

// XXH3 of short data, for hash tables: not for files, may differ between
// machines.
uint64_t HashOf(const void* data, size_t bytes);

// Reads the whole file once, in pieces.
absl::StatusOr<std::string> DigestOfFile(
    const std::string& path, FileSystem& files = FileSystem::Posix());

// The same around the page cache (see Caching), a MiB at a time. `go_on` is
// called after each piece with its bytes: false ends it, CANCELLED.
absl::StatusOr<std::string> DigestOfStoredFile(
    const std::string& path, FileSystem& files,
    absl::FunctionRef<bool(size_t)> go_on);

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_CHECKSUM_H_
