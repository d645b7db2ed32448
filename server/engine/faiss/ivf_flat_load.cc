// Reading back the IndexIVFFlat files that IvfFlatFile composes: the lists'
// ids without the frames between them, which total_fea.npy holds already.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/checksum.h"
#include "server/base/errors.h"
#include "server/base/file_system.h"
#include "server/base/status_macros.h"
#include "server/engine/faiss/faiss_load.h"

namespace timbre {
namespace {

// Reads a file once, digesting everything on the way.
class DigestingReader {
 public:
  explicit DigestingReader(InputFile file) : file_(std::move(file)) {}

  absl::Status Read(void* out, size_t bytes) {
    char* next = static_cast<char*>(out);
    while (bytes > 0) {
      TIMBRE_ASSIGN_OR_RETURN(const size_t got, file_.Read(next, bytes));
      if (got == 0) return absl::OutOfRangeError("ends too early");
      checksum_.Update(next, got);
      next += got;
      bytes -= got;
    }
    return absl::OkStatus();
  }

  absl::Status Skip(uint64_t bytes) {
    buffer_.resize(1 << 20);
    while (bytes > 0) {
      const size_t piece = std::min<uint64_t>(bytes, buffer_.size());
      TIMBRE_RETURN_IF_ERROR(Read(buffer_.data(), piece));
      bytes -= piece;
    }
    return absl::OkStatus();
  }

  std::string Digest() const { return checksum_.Digest(); }

 private:
  InputFile file_;
  Checksum checksum_;
  std::vector<char> buffer_;
};

// The sizes of what stands between the parts that are wanted; see
// faiss_format::IvfFlatHeader.
constexpr size_t kIndexHeaderBytes = 4 + 33;
constexpr size_t kBeforeCentroids = kIndexHeaderBytes + 8 +
                                    8 +  // nlist, nprobe
                                    kIndexHeaderBytes + 8;
constexpr size_t kBeforeSizes = 1 + 8 + 4 + 8 + 8 + 4 + 8;

uint64_t BytesOf(const IndexDescription& description) {
  const uint64_t row_bytes = description.dimension * sizeof(float);
  return kBeforeCentroids + kBeforeSizes +
         description.spec.nlist * (row_bytes + sizeof(uint64_t)) +
         description.rows * (row_bytes + sizeof(int64_t));
}

absl::Status ReadParts(const IndexDescription& description,
                       DigestingReader& reader, IvfParts& parts) {
  parts.dimension = description.dimension;
  parts.nlist = description.spec.nlist;
  TIMBRE_RETURN_IF_ERROR(reader.Skip(kBeforeCentroids));
  parts.centroids.resize(size_t{parts.nlist} * parts.dimension);
  TIMBRE_RETURN_IF_ERROR(reader.Read(parts.centroids.data(),
                                     parts.centroids.size() * sizeof(float)));
  TIMBRE_RETURN_IF_ERROR(reader.Skip(kBeforeSizes));
  std::vector<uint64_t> sizes(parts.nlist);
  TIMBRE_RETURN_IF_ERROR(
      reader.Read(sizes.data(), sizes.size() * sizeof(uint64_t)));
  parts.list_begin.reserve(sizes.size() + 1);
  parts.list_begin.push_back(0);
  parts.ids.reserve(description.rows);
  std::vector<int64_t> ids;
  for (const uint64_t size : sizes) {
    if (size > description.rows - parts.ids.size()) {
      return absl::OutOfRangeError("holds more ids than frames");
    }
    TIMBRE_RETURN_IF_ERROR(reader.Skip(size * parts.dimension * sizeof(float)));
    ids.resize(size);
    TIMBRE_RETURN_IF_ERROR(reader.Read(ids.data(), size * sizeof(int64_t)));
    for (const int64_t id : ids) {
      if (id < 0 || static_cast<uint64_t>(id) >= description.rows) {
        return absl::OutOfRangeError("holds an id out of range");
      }
      parts.ids.push_back(static_cast<uint32_t>(id));
    }
    parts.list_begin.push_back(static_cast<uint32_t>(parts.ids.size()));
  }
  if (parts.ids.size() != description.rows) {
    return absl::OutOfRangeError("holds fewer ids than frames");
  }
  if (!parts.IsSound(description.rows)) {
    return absl::OutOfRangeError(
        "holds a row twice, or centroids that no frames have");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<const IvfParts>> LoadIvfFlatParts(
    const IndexDescription& description, std::pmr::memory_resource* memory) {
  // Memory is taken for what the file holds, whatever a manifest says.
  TIMBRE_ASSIGN_OR_RETURN(const uint64_t size, IndexSize(description));
  if (size != BytesOf(description)) {
    return IndexDamaged(
        description,
        absl::StrCat("has ", size, " bytes; an index of ", description.rows,
                     " frames in ", description.spec.nlist, " lists has ",
                     BytesOf(description)));
  }
  TIMBRE_ASSIGN_OR_RETURN(
      InputFile file,
      InputFile::Open(description.index_path, *description.files));
  DigestingReader reader(std::move(file));
  auto parts = std::make_unique<IvfParts>(memory);
  if (const auto status = ReadParts(description, reader, *parts);
      !status.ok()) {
    return absl::IsOutOfRange(status)
               ? IndexDamaged(description, status.message())
               : status;
  }
  if (reader.Digest() != description.index_digest) {
    return IndexDamaged(description, "the digest does not match the manifest");
  }
  return parts;
}

}  // namespace timbre
