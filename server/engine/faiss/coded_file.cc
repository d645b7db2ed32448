#include "server/engine/faiss/coded_file.h"

#include <algorithm>
#include <span>
#include <vector>

#include "server/base/status_macros.h"
#include "server/base/thread_priority.h"
#include "server/engine/faiss/faiss_format.h"

namespace timbre {
namespace {

using faiss_format::kBlockCodes;
using faiss_format::kBlockOrder;

// 32 codes ([32, octets] words) as faiss has them; the inverse of faiss_load's
// UnpackBlock.
void PackBlock(const uint32_t* words, uint32_t pq_m, uint8_t* block) {
  const size_t octets = OctetsOf(pq_m);
  for (size_t m = 0; m < pq_m; ++m) {
    const size_t shift = DigitShift(m);
    const uint32_t* const word = words + m / kDigitsPerOctet;
    for (size_t j = 0; j < kBlockOrder.size(); ++j) {
      const uint32_t low = word[kBlockOrder[j] * octets] >> shift & 15U;
      const uint32_t high =
          word[(kBlockOrder[j] + 16U) * octets] >> shift & 15U;
      block[m * kBlockOrder.size() + j] = static_cast<uint8_t>(low | high << 4);
    }
  }
}

class CodedFileWriter {
 public:
  CodedFileWriter(const CodedLists& lists, OutputFile& file)
      : lists_(lists),
        file_(file),
        octets_(OctetsOf(lists.parts.pq_m)),
        words_(kBlockCodes * octets_),
        block_(faiss_format::BlockBytes(lists.parts.pq_m)) {}

  absl::Status WriteHeader(Metric metric, uint32_t nprobe) {
    const IvfParts& parts = lists_.parts;
    const std::string header = faiss_format::IvfPqHeader(
        {parts.ids.size(), parts.dimension, metric},
        {.nlist = parts.nlist, .nprobe = nprobe, .pq_m = parts.pq_m},
        parts.centroids, parts.codebooks);
    return file_.Append(header.data(), header.size());
  }

  absl::Status WriteList(std::span<const uint32_t> rows) {
    TIMBRE_RETURN_IF_ERROR(WriteCount(rows.size()));
    const std::vector<int64_t> ids(rows.begin(), rows.end());
    TIMBRE_RETURN_IF_ERROR(
        file_.Append(ids.data(), ids.size() * sizeof(ids[0])));
    const size_t blocks = (rows.size() + kBlockCodes - 1) / kBlockCodes;
    TIMBRE_RETURN_IF_ERROR(WriteCount(blocks * block_.size()));
    for (size_t i = 0; i < blocks; ++i) {
      TIMBRE_RETURN_IF_ERROR(WriteBlock(
          rows.subspan(i * kBlockCodes,
                       std::min(kBlockCodes, rows.size() - i * kBlockCodes))));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status WriteCount(uint64_t count) {
    return file_.Append(&count, sizeof(count));
  }

  absl::Status WriteBlock(std::span<const uint32_t> rows) {
    std::fill(words_.begin(), words_.end(), 0U);
    for (size_t i = 0; i < rows.size(); ++i) {
      std::copy_n(&lists_.words[rows[i] * octets_], octets_,
                  &words_[i * octets_]);
    }
    PackBlock(words_.data(), lists_.parts.pq_m, block_.data());
    return file_.Append(block_.data(), block_.size());
  }

  const CodedLists& lists_;
  OutputFile& file_;
  const size_t octets_;
  std::vector<uint32_t> words_;  // of a block
  std::vector<uint8_t> block_;
};

}  // namespace

absl::Status WriteCodedFile(const CodedLists& lists, Metric metric,
                            uint32_t nprobe, const std::string& path,
                            FileSystem& files) {
  TIMBRE_ASSIGN_OR_RETURN(OutputFile file, OutputFile::Create(path, files));
  CodedFileWriter writer(lists, file);
  TIMBRE_RETURN_IF_ERROR(writer.WriteHeader(metric, nprobe));
  for (uint32_t list = 0; list < lists.parts.nlist; ++list) {
    GiveWay();
    TIMBRE_RETURN_IF_ERROR(writer.WriteList(lists.parts.List(list)));
  }
  return file.Sync();
}

}  // namespace timbre
