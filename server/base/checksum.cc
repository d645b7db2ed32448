#include "server/base/checksum.h"

#include <xxhash.h>

#include <memory>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/base/thread_priority.h"

namespace timbre {
namespace {

constexpr size_t kPieceBytes = 1 << 18;
constexpr size_t kReadBytes = 1 << 20;

std::string Print(const XXH128_hash_t& hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  return absl::StrCat("xxh3-128:",
                      absl::BytesToHexString(absl::string_view(
                          reinterpret_cast<const char*>(canonical.digest),
                          sizeof(canonical.digest))));
}

void UpdateGivingWay(Checksum& checksum, absl::string_view data) {
  for (size_t i = 0; i < data.size(); i += kPieceBytes) {
    const absl::string_view piece = data.substr(i, kPieceBytes);
    checksum.Update(piece.data(), piece.size());
    GiveWay();
  }
}

}  // namespace

Checksum::Checksum() : state_(XXH3_createState()) {
  XXH3_128bits_reset(state_);
}
Checksum::~Checksum() { XXH3_freeState(state_); }

void Checksum::Update(const void* data, size_t bytes) {
  XXH3_128bits_update(state_, data, bytes);
}

std::string Checksum::Digest() const {
  return Print(XXH3_128bits_digest(state_));
}

std::string DigestOf(absl::string_view data) {
  Checksum checksum;
  UpdateGivingWay(checksum, data);
  return checksum.Digest();
}

uint64_t HashOf(const void* data, size_t bytes) {
  return XXH3_64bits(data, bytes);
}

absl::StatusOr<std::string> DigestOfFile(const std::string& path,
                                         FileSystem& files) {
  TIMBRE_ASSIGN_OR_RETURN(InputFile file, InputFile::Open(path, files));
  std::vector<char> piece(kPieceBytes);
  Checksum checksum;
  while (true) {
    TIMBRE_ASSIGN_OR_RETURN(const size_t bytes,
                            file.Read(piece.data(), piece.size()));
    if (bytes == 0) return checksum.Digest();
    checksum.Update(piece.data(), bytes);
    GiveWay();
  }
}

absl::StatusOr<std::string> DigestOfStoredFile(
    const std::string& path, FileSystem& files,
    absl::FunctionRef<bool(size_t)> go_on) {
  static_assert(kReadBytes % kDirectAlignment == 0);
  TIMBRE_ASSIGN_OR_RETURN(InputFile file,
                          InputFile::Open(path, files, Caching::kAround));
  std::vector<char> memory(kReadBytes + kDirectAlignment);
  void* aligned = memory.data();
  size_t room = memory.size();
  std::align(kDirectAlignment, kReadBytes, aligned, room);
  auto* const piece = static_cast<char*>(aligned);
  Checksum checksum;
  uint64_t done = 0;
  // Behind the end of a file that is not aligned no read would be.
  while (done % kDirectAlignment == 0) {
    TIMBRE_ASSIGN_OR_RETURN(const size_t bytes, file.Read(piece, kReadBytes));
    if (bytes == 0) break;
    UpdateGivingWay(checksum, absl::string_view(piece, bytes));
    done += bytes;
    if (!go_on(bytes)) return absl::CancelledError("");
  }
  // Else a read that was cut short would pass for another digest.
  TIMBRE_ASSIGN_OR_RETURN(const uint64_t size, file.Size());
  if (done != size) {
    return MakeError(absl::StatusCode::kInternal, "STORAGE_ERROR",
                     absl::StrCat("read ", path, ": ended after ", done, " of ",
                                  size, " bytes"));
  }
  return checksum.Digest();
}

}  // namespace timbre
