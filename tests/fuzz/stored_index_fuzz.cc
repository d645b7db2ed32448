// Index files of a version with the digest that its manifest has, but anything
// in them: refused, or searched without leaving their numbers. A manifest may
// say anything that ParseManifest lets through.
#include <cstring>
#include <vector>

#include "server/base/checksum.h"
#include "server/engine/faiss/faiss_load.h"
#include "server/engine/frames/npy_header.h"
#include "server/engine/search/speaker_index.h"
#include "server/kernels/kernels.h"
#include "tests/fuzz/files.h"
#include "tests/fuzz/refusals.h"

namespace timbre::fuzz {
namespace {

// The description goes before the file: 16 bytes, as corpus.py writes them.
IndexDescription Describe(Bytes& bytes) {
  IndexDescription description;
  const auto kind = bytes.Take<uint8_t>();
  const auto metric = bytes.Take<uint8_t>();
  description.spec.kind =
      kind % 2 == 0 ? IndexKind::kIvfFlat : IndexKind::kIvfPq;
  description.metric = metric % 3 == 0   ? Metric::kL2
                       : metric % 3 == 1 ? Metric::kInnerProduct
                                         : Metric::kCosine;
  description.storage =
      metric / 3 % 2 == 0 ? ElementType::kFloat32 : ElementType::kFloat16;
  description.dimension = bytes.Take<uint16_t>();
  description.spec.pq_m = bytes.Take<uint32_t>();
  description.spec.nlist = bytes.Take<uint32_t>();
  description.rows = bytes.Take<uint32_t>();
  return description;
}

bool IsPossible(const IndexDescription& description) {
  const IndexSpec& spec = description.spec;
  return description.dimension >= kMinDimension &&
         description.dimension <= kMaxDimension && spec.nlist >= 1 &&
         spec.nlist <= kMaxLists && spec.nlist <= description.rows &&
         (spec.kind == IndexKind::kIvfFlat ||
          (spec.pq_m >= 1 && spec.pq_m <= kMaxDimension &&
           CheckDimension(spec, description.dimension).ok()));
}

void CheckParts(const IndexDescription& description, const IvfParts& parts) {
  const uint32_t nlist = description.spec.nlist;
  Require(parts.nlist == nlist && parts.dimension == description.dimension &&
              parts.centroids.size() == size_t{nlist} * parts.dimension,
          "centroids are whole");
  Require(parts.list_begin.size() == nlist + 1 &&
              parts.list_begin.front() == 0 &&
              parts.list_begin.back() == parts.ids.size() &&
              std::is_sorted(parts.list_begin.begin(), parts.list_begin.end()),
          "lists follow one another");
  Require(parts.ids.size() == description.rows, "every row has its place");
  std::vector<bool> seen(description.rows);
  for (const uint32_t id : parts.ids) {
    Require(id < description.rows, "ids are rows");
    Require(!seen[id], "a row is in one list");
    seen[id] = true;
  }
  for (uint32_t code = 0; code < parts.code_rows.size(); ++code) {
    for (const uint32_t row : parts.RowsOf(code)) {
      Require(row < description.rows, "codes are of rows");
    }
  }
  for (const float x : parts.centroids) {
    Require(std::abs(x) <= 1e19F, "centroids have finite distances");
  }
  for (const float x : parts.codebooks) {
    Require(std::abs(x) <= 1e19F, "code words have finite distances");
  }
}

// Over frames of zeros: only where they are is of interest.
void Search(IndexDescription description) {
  const uint64_t bytes =
      kNpyHeaderBytes + description.rows * description.dimension *
                            BytesPerElement(description.storage);
  if (bytes > 1 << 20) return;
  std::string frames =
      NpyHeader(description.storage, description.rows, description.dimension);
  frames.resize(bytes);
  const MemoryFile file(frames);
  description.frames_path = file.path();
  const auto index = SpeakerIndex::Open(description, BestKernels());
  Require(index.ok(), "an index that was read opens",
          index.status().ToString());
  constexpr uint32_t k = 9;
  const std::vector<float> queries(5 * description.dimension, 0.5F);
  std::vector<int64_t> ids(5 * k);
  std::vector<float> distances(5 * k);
  SearchScratch scratch;
  for (const uint32_t nprobe : {1U, description.spec.nlist}) {
    Require((*index)
                ->Search(queries.data(), 5, {k, nprobe, 20}, scratch,
                         ids.data(), distances.data())
                .ok(),
            "an index that was read is searched");
    for (const int64_t id : ids) {
      Require(id >= -1 && id < static_cast<int64_t>(description.rows),
              "what is found are rows");
    }
  }
}

}  // namespace
}  // namespace timbre::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace timbre;  // NOLINT
  fuzz::Bytes bytes(data, size);
  IndexDescription description = fuzz::Describe(bytes);
  if (!fuzz::IsPossible(description)) return 0;
  const std::string contents = bytes.Rest();
  const fuzz::MemoryFile file(contents);
  description.index_path = file.path();
  description.index_digest = DigestOf(contents);
  const auto parts = description.spec.kind == IndexKind::kIvfPq
                         ? LoadCodedParts(description, BestKernels())
                         : LoadIvfFlatParts(description);
  if (!parts.ok()) {
    // An empty file cannot even be mapped.
    fuzz::RequireReason(
        parts.status(), absl::StatusCode::kDataLoss,
        contents.empty() && description.spec.kind == IndexKind::kIvfPq
            ? "FILE_SIZE_MISMATCH"
            : "FILE_CORRUPT");
    return 0;
  }
  fuzz::CheckParts(description, **parts);
  fuzz::Search(description);
  return 0;
}
