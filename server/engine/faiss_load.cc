#include "server/engine/faiss_load.h"

#include <faiss/IndexFlat.h>
#include <faiss/IndexIVF.h>
#include <faiss/IndexIVFPQFastScan.h>
#include <faiss/impl/io.h>
#include <faiss/index_io.h>
#include <faiss/invlists/BlockInvertedLists.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>

#include "server/base/checksum.h"
#include "server/base/errors.h"
#include "server/base/file_system.h"
#include "server/base/status_macros.h"
#include "server/engine/faiss_guard.h"
#include "server/engine/speaker_index.h"

namespace timbre {
namespace {

// faiss reads from memory that was verified.
class StringReader : public faiss::IOReader {
 public:
  explicit StringReader(const std::string& data) : data_(data) {}
  size_t operator()(void* out, size_t size, size_t count) override {
    const size_t items = std::min(count, (data_.size() - offset_) / size);
    std::memcpy(out, data_.data() + offset_, size * items);
    offset_ += size * items;
    return items;
  }

 private:
  const std::string& data_;
  size_t offset_ = 0;
};

absl::StatusOr<std::unique_ptr<faiss::Index>> ReadInMemory(
    const IndexDescription& description) {
  auto contents = ReadFile(description.index_path);
  if (!contents.ok())
    return IndexDamaged(description, contents.status().message());
  if (DigestOf(*contents) != description.index_digest) {
    return IndexDamaged(description, "the digest does not match the manifest");
  }
  std::unique_ptr<faiss::Index> index;
  TIMBRE_RETURN_IF_ERROR(
      GuardFaiss(absl::StatusCode::kDataLoss, description.index_path, [&] {
        StringReader reader(*contents);
        index.reset(faiss::read_index(&reader));
      }));
  return index;
}

bool CopyCentroids(const faiss::IndexIVF& ivf, IvfParts& parts) {
  const auto* const flat = dynamic_cast<const faiss::IndexFlat*>(ivf.quantizer);
  if (flat == nullptr || flat->d != ivf.d ||
      static_cast<size_t>(flat->ntotal) != ivf.nlist) {
    return false;
  }
  const float* const data = flat->get_xb();
  parts.dimension = static_cast<uint32_t>(ivf.d);
  parts.nlist = static_cast<uint32_t>(ivf.nlist);
  parts.centroids.assign(data, data + ivf.nlist * static_cast<size_t>(ivf.d));
  return true;
}

bool CopyIds(const faiss::IndexIVF& ivf, uint64_t rows, IvfParts& parts) {
  parts.list_begin.reserve(ivf.nlist + 1);
  parts.list_begin.push_back(0);
  parts.ids.reserve(rows);
  for (size_t list = 0; list < ivf.nlist; ++list) {
    const size_t size = ivf.invlists->list_size(list);
    if (parts.ids.size() + size > rows) return false;
    const faiss::InvertedLists::ScopedIds ids(ivf.invlists, list);
    for (size_t i = 0; i < size; ++i) {
      const auto id = static_cast<uint64_t>(ids[i]);
      if (id >= rows) return false;
      parts.ids.push_back(static_cast<uint32_t>(id));
    }
    parts.list_begin.push_back(static_cast<uint32_t>(parts.ids.size()));
  }
  return parts.ids.size() == rows;
}

// faiss interleaves the sixteen bytes of a digit for its own AVX2 kernel
// (pq4_fast_scan.cpp, perm0): byte i holds code kFaissOrder[i].
constexpr std::array<uint8_t, 16> kFaissOrder = {0, 8,  1, 9,  2, 10, 3, 11,
                                                 4, 12, 5, 13, 6, 14, 7, 15};

void CopyBlocks(const faiss::BlockInvertedLists& lists, size_t faiss_m,
                IvfParts& parts) {
  parts.block_begin.reserve(size_t{parts.nlist} + 1);
  parts.block_begin.push_back(0);
  for (uint32_t list = 0; list < parts.nlist; ++list) {
    parts.block_begin.push_back(parts.block_begin.back() +
                                static_cast<uint32_t>(parts.BlocksOf(list)));
  }
  parts.blocks.assign(parts.block_begin.back() * parts.block_bytes(), 0);
  for (uint32_t list = 0; list < parts.nlist; ++list) {
    const uint8_t* in = lists.get_codes(list);
    uint8_t* out =
        parts.blocks.data() + parts.block_begin[list] * parts.block_bytes();
    for (size_t block = 0; block < parts.BlocksOf(list); ++block) {
      for (size_t r = 0; r < faiss_m; ++r, in += 16) {
        for (size_t i = 0; i < 16; ++i) out[16 * r + kFaissOrder[i]] = in[i];
      }
      out += parts.block_bytes();
    }
  }
}

bool CopyCodes(const faiss::IndexIVF& ivf, uint32_t pq_m, IvfParts& parts) {
  const auto* const pq = dynamic_cast<const faiss::IndexIVFPQFastScan*>(&ivf);
  const auto* const lists =
      dynamic_cast<const faiss::BlockInvertedLists*>(ivf.invlists);
  if (pq == nullptr || lists == nullptr || pq->by_residual || pq->M != pq_m ||
      pq->bbs != static_cast<int>(kCodesPerBlock) ||
      lists->n_per_block != kCodesPerBlock ||
      lists->block_size != pq->M2 * 16) {
    return false;
  }
  parts.pq_m = pq_m;
  parts.codebooks = pq->pq.centroids;
  CopyBlocks(*lists, pq->M2, parts);
  return parts.codebooks.size() == size_t{16} * parts.dimension;
}

}  // namespace

absl::Status IndexDamaged(const IndexDescription& description,
                          absl::string_view what) {
  return MakeError(absl::StatusCode::kDataLoss, "FILE_CORRUPT",
                   absl::StrCat(description.index_path, ": ", what));
}

absl::StatusOr<std::unique_ptr<const IvfParts>> LoadCodedParts(
    const IndexDescription& description) {
  TIMBRE_ASSIGN_OR_RETURN(const std::unique_ptr<faiss::Index> index,
                          ReadInMemory(description));
  const auto* const ivf = dynamic_cast<const faiss::IndexIVF*>(index.get());
  auto parts = std::make_unique<IvfParts>();
  if (ivf == nullptr || ivf->nlist != description.spec.nlist ||
      ivf->d != static_cast<int>(description.dimension) ||
      !CopyCentroids(*ivf, *parts) ||
      !CopyIds(*ivf, description.rows, *parts) ||
      !CopyCodes(*ivf, description.spec.pq_m, *parts)) {
    return IndexDamaged(description,
                        "the index is not what the manifest describes");
  }
  return parts;
}

}  // namespace timbre
