// Reading the IndexIVFPQFastScan files that coded_file.cc writes.
//
// Not with faiss::read_index: it computes tables for symmetric distances and
// copies every list, which takes longer than all the rest, and trusts what it
// reads. The layout is that of faiss/impl/index_write.cpp and
// faiss/invlists/BlockInvertedLists.cpp, unchanged in all of
// faiss_format::kVersions; a build opens what it wrote before it publishes, so
// another one would be noticed.
#include "server/engine/faiss/faiss_load.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/checksum.h"
#include "server/base/errors.h"
#include "server/base/file_system.h"
#include "server/base/mapped_file.h"
#include "server/base/status_macros.h"
#include "server/base/thread_priority.h"
#include "server/engine/faiss/faiss_format.h"
#include "server/engine/lists/code_packer.h"

namespace timbre {
namespace {

using faiss_format::BlockBytes;
using faiss_format::BlockDigits;
using faiss_format::kBlockCodes;
using faiss_format::kBlockOrder;

constexpr size_t kBlocksAtOnce = 64;  // between two looks at who waits

// Reads fields one after the other; once something is missing or not as
// expected, everything after it fails too.
class FieldReader {
 public:
  explicit FieldReader(absl::string_view data) : rest_(data) {}

  bool ok() const { return ok_; }
  bool at_end() const { return ok_ && rest_.empty(); }

  // The next bytes; null where there are fewer.
  const char* Take(uint64_t bytes) {
    ok_ = ok_ && bytes <= rest_.size();
    if (!ok_) return nullptr;
    const char* const data = rest_.data();
    rest_.remove_prefix(bytes);
    return data;
  }

  template <typename T>
  T Read() {
    T value{};
    if (const char* const data = Take(sizeof(T))) {
      std::memcpy(&value, data, sizeof(T));
    }
    return value;
  }

  template <typename T>
  void Expect(T value) {
    ok_ = Read<T>() == value && ok_;
  }

  void ExpectName(absl::string_view name) {
    const char* const data = Take(name.size());
    ok_ = ok_ && absl::string_view(data, name.size()) == name;
  }

  // A vector whose length goes before it and must be this one.
  void ReadFloats(uint64_t count, AlignedVector<float>& floats) {
    Expect(count);
    const char* const data = Take(count * sizeof(float));
    if (!ok_) return;
    floats.resize(count);
    std::memcpy(floats.data(), data, count * sizeof(float));
  }

 private:
  absl::string_view rest_;
  bool ok_ = true;
};

// The header that every faiss index begins with.
void ExpectHeader(const IndexDescription& description, uint64_t rows,
                  FieldReader& reader) {
  reader.Expect(static_cast<int32_t>(description.dimension));
  reader.Expect(rows);
  reader.Take(2 * sizeof(int64_t));  // once used, now constants
  reader.Expect<uint8_t>(1);         // is_trained
  reader.Expect<int32_t>(description.metric == Metric::kL2 ? 1 : 0);
}

void ReadCentroids(const IndexDescription& description, FieldReader& reader,
                   IvfParts& parts) {
  const uint32_t nlist = description.spec.nlist;
  reader.Expect<uint64_t>(nlist);
  reader.Take(sizeof(uint64_t));  // nprobe
  reader.ExpectName(description.metric == Metric::kL2 ? "IxF2" : "IxFI");
  ExpectHeader(description, nlist, reader);
  parts.nlist = nlist;
  parts.dimension = description.dimension;
  reader.ReadFloats(uint64_t{nlist} * parts.dimension, parts.centroids);
  reader.Expect<uint8_t>(0);   // no direct map ...
  reader.Expect<uint64_t>(0);  // ... and nothing in it
}

void ReadQuantizer(const IndexDescription& description, FieldReader& reader,
                   IvfParts& parts) {
  const uint32_t pq_m = description.spec.pq_m;
  reader.Expect<uint8_t>(0);      // no residuals
  reader.Take(sizeof(uint64_t));  // bytes of a code
  reader.Expect(static_cast<int32_t>(kBlockCodes));
  reader.Expect<uint64_t>(BlockDigits(pq_m));
  reader.Take(sizeof(int32_t) + sizeof(uint64_t));  // how faiss would search
  reader.Expect<uint64_t>(description.dimension);
  reader.Expect<uint64_t>(pq_m);
  reader.Expect<uint64_t>(4);  // bits of a digit
  parts.pq_m = pq_m;
  reader.ReadFloats(kEntries * description.dimension, parts.codebooks);
}

// Eight digits of 16 codes of one of faiss's blocks, as it has them: each byte
// holds a digit of code kBlockOrder[j] in its low bits and of that code + 16 in
// its high ones. Those of sub-quantizers that there are not are zeros.
using OctetBytes = std::array<std::array<uint8_t, 16>, kDigitsPerOctet>;

OctetBytes TakeOctet(const char* block, size_t octet, uint32_t pq_m) {
  OctetBytes bytes{};
  const size_t first = octet * kDigitsPerOctet;
  std::memcpy(bytes.data(), block + 16 * first,
              16 * std::min<size_t>(kDigitsPerOctet, pq_m - first));
  return bytes;
}

// The 32 codes of one of faiss's blocks as words; `words` is [32, octets].
void UnpackBlock(const char* block, uint32_t pq_m, uint32_t* words) {
  const size_t octets = OctetsOf(pq_m);
  for (size_t octet = 0; octet < octets; ++octet) {
    const OctetBytes bytes = TakeOctet(block, octet, pq_m);
    // Loops that compilers make vectors of.
    std::array<uint32_t, 16> low{};
    std::array<uint32_t, 16> high{};
    for (size_t t = 0; t < 4; ++t) {
      for (size_t j = 0; j < 16; ++j) {
        const uint32_t a = bytes[t][j];
        const uint32_t b = bytes[t + 4][j];
        low[j] |= ((a & 15U) | (b & 15U) << 4) << (8 * t);
        high[j] |= (a >> 4 | (b & 0xf0U)) << (8 * t);
      }
    }
    for (size_t j = 0; j < 16; ++j) {
      words[kBlockOrder[j] * octets + octet] = low[j];
      words[(kBlockOrder[j] + 16U) * octets + octet] = high[j];
    }
  }
}

// One list on its way.
class ListReader {
 public:
  ListReader(const IndexDescription& description, IvfParts& parts)
      : rows_(description.rows), parts_(parts), packer_(rows_, parts) {}

  // False if the list is not one of this index.
  bool Read(FieldReader& reader) {
    const auto count = reader.Read<uint64_t>();
    if (!reader.ok() || count > rows_ - parts_.ids.size()) return false;
    const char* const ids = reader.Take(count * sizeof(int64_t));
    const uint64_t blocks = (count + kBlockCodes - 1) / kBlockCodes;
    const size_t block_bytes = BlockBytes(parts_.pq_m);
    reader.Expect(blocks * block_bytes);
    const char* const codes = reader.Take(blocks * block_bytes);
    if (!reader.ok() || !ReadIds(ids, count)) return false;
    const size_t octets = OctetsOf(parts_.pq_m);
    words_.resize(blocks * kBlockCodes * octets);
    for (uint64_t i = 0; i < blocks; ++i) {
      UnpackBlock(codes + i * block_bytes, parts_.pq_m,
                  &words_[i * kBlockCodes * octets]);
    }
    packer_.AddList(list_.data(), count, words_.data());
    return true;
  }

  bool Finish() {
    packer_.Finish();
    return parts_.ids.size() == rows_;
  }

 private:
  // Rows in increasing order, none beyond the frames.
  bool ReadIds(const char* ids, uint64_t count) {
    list_.resize(count);
    int64_t last = -1;
    for (uint64_t i = 0; i < count; ++i) {
      int64_t id = 0;
      std::memcpy(&id, ids + i * sizeof(id), sizeof(id));
      if (id <= last || static_cast<uint64_t>(id) >= rows_) return false;
      list_[i] = static_cast<uint32_t>(id);
      last = id;
    }
    return true;
  }

  const uint64_t rows_;
  IvfParts& parts_;
  CodePacker packer_;
  std::vector<uint32_t> list_;
  std::vector<uint32_t> words_;
};

bool ReadLists(const IndexDescription& description, FieldReader& reader,
               IvfParts& parts) {
  reader.ExpectName("ilbl");
  reader.Expect<uint64_t>(parts.nlist);
  reader.Take(sizeof(uint64_t));  // bytes of a code: not used
  reader.Expect<uint64_t>(kBlockCodes);
  reader.Expect<uint64_t>(BlockBytes(parts.pq_m));
  if (!reader.ok()) return false;
  ListReader lists(description, parts);
  for (uint32_t list = 0; list < parts.nlist; ++list) {
    GiveWay();
    if (!lists.Read(reader)) return false;
  }
  return lists.Finish() && reader.at_end();
}

bool ReadParts(const IndexDescription& description, absl::string_view data,
               IvfParts& parts) {
  FieldReader reader(data);
  reader.ExpectName("IwPf");
  ExpectHeader(description, description.rows, reader);
  ReadCentroids(description, reader, parts);
  ReadQuantizer(description, reader, parts);
  return reader.ok() && ReadLists(description, reader, parts) &&
         parts.IsSound(description.rows);
}

}  // namespace

absl::Status IndexDamaged(const IndexDescription& description,
                          absl::string_view what) {
  return MakeError(absl::StatusCode::kDataLoss, "FILE_CORRUPT",
                   absl::StrCat(description.index_path, ": ", what));
}

absl::StatusOr<uint64_t> IndexSize(const IndexDescription& description) {
  auto size = FileSize(description.index_path, *description.files);
  if (!absl::IsNotFound(size.status())) return size;
  return IndexDamaged(description, size.status().message());
}

absl::StatusOr<std::unique_ptr<IvfParts>> ParseCodedParts(
    const IndexDescription& description, absl::string_view data,
    std::pmr::memory_resource* memory) {
  auto parts = std::make_unique<IvfParts>(memory);
  // Each row has an id: memory is taken for what the bytes can hold.
  const bool good = description.rows <= kMaxRows &&
                    description.rows <= data.size() / sizeof(int64_t) &&
                    ReadParts(description, data, *parts);
  if (good) return parts;
  return IndexDamaged(description,
                      "the index is not what the manifest describes");
}

absl::StatusOr<std::unique_ptr<const IvfParts>> LoadCodedParts(
    const IndexDescription& description, const KernelTable& kernels,
    std::pmr::memory_resource* memory) {
  TIMBRE_ASSIGN_OR_RETURN(const uint64_t size, IndexSize(description));
  TIMBRE_ASSIGN_OR_RETURN(const std::unique_ptr<MappedFile> file,
                          description.files->Map(description.index_path, size));
  const absl::string_view data(file->data(), file->size());
  if (DigestOf(data) != description.index_digest) {
    TIMBRE_RETURN_IF_ERROR(file->Check());
    return IndexDamaged(description, "the digest does not match the manifest");
  }
  auto parsed = ParseCodedParts(description, data, memory);
  file->SayCold();
  TIMBRE_RETURN_IF_ERROR(file->Check());
  TIMBRE_ASSIGN_OR_RETURN(std::unique_ptr<IvfParts> parts, std::move(parsed));
  const size_t at_once = kBlocksAtOnce * parts->block_bytes();
  for (size_t i = 0; i < parts->codes.size(); i += at_once) {
    kernels.arrange_codes(&parts->codes[i],
                          std::min(at_once, parts->codes.size() - i));
    GiveWay();
  }
  return parts;
}

}  // namespace timbre
