// Approximate distances from 4-bit product-quantizer codes ("FastScan").
#ifndef TIMBRE_SERVER_ENGINE_LISTS_CODE_SCANNER_H_
#define TIMBRE_SERVER_ENGINE_LISTS_CODE_SCANNER_H_

#include <array>
#include <cstdint>
#include <memory_resource>
#include <vector>

#include "server/base/aligned_vector.h"
#include "server/engine/frames/metric.h"
#include "server/engine/lists/ivf_parts.h"
#include "server/engine/lists/select.h"
#include "server/engine/lists/top_k.h"
#include "server/kernels/kernels.h"

namespace timbre {

// Codes that were scanned side by side: sums [first_sum, last_sum) are those of
// codes [first_code ...].
struct ScannedList {
  uint32_t first_sum = 0;
  uint32_t last_sum = 0;
  uint32_t first_code = 0;
};

// Per-thread working memory of CodeScanner.
struct CodeScratch {
  AlignedVector<float> work;        // of fill_tables
  AlignedVector<uint8_t> tables;    // two times [padded sub-quantizers, 16]
  AlignedVector<uint16_t> sums;     // of all lists of one frame
  std::vector<uint32_t> positions;  // into sums
  std::vector<ScannedList> lists;
  std::vector<uint32_t> expected;  // lists to fetch ahead
  size_t next_expected = 0;
  // Of each list: the value of frames_scanned then.
  std::vector<uint32_t> last_used;
  uint32_t frames_scanned = 1000;  // so far; as if all lists were old
  std::vector<ScoredId> near;      // sums and codes
};

// Immutable and thread-safe. Refers to `parts`, which must outlive it.
class CodeScanner {
 public:
  // What it adds to `parts` lies in `memory`; null: the heap.
  CodeScanner(const IvfParts& parts, Metric metric, const KernelTable& kernels,
              std::pmr::memory_resource* memory = nullptr);

  // Frames whose look-up tables are made together.
  static constexpr size_t kFramesAtOnce = 2;

  // Says that lists[0..count) are scanned next, one after the other: those that
  // were not scanned a moment ago are fetched ahead. Has to come before Scan
  // when the scratch has served another scanner.
  void Expect(const std::vector<uint32_t>* lists, size_t count,
              CodeScratch& scratch) const;

  // Makes the look-up tables of frames[0..count) ([dimension], normalised for
  // kCosine), 1 <= count <= kFramesAtOnce. The codes hold the frames
  // themselves, no residuals: one set of tables serves every list.
  void Prepare(const float* const* frames, size_t count,
               CodeScratch& scratch) const;

  // ids becomes the `wanted` rows of `lists` that are nearest to frame i of
  // Prepare by their codes, in no particular order; all rows where there are no
  // more. Of rows whose sums are equal, and too many for the last places, those
  // are taken that faiss takes: of lists with lower numbers, then those with
  // lower ids; rows that share one stored code count as the first of them.
  void Scan(size_t i, const std::vector<uint32_t>& lists, size_t wanted,
            CodeScratch& scratch, std::vector<uint32_t>& ids) const;

  size_t resident_bytes() const {
    return codebook_values_.size() * sizeof(float);
  }
  // The same before it is made.
  static size_t ResidentBytes(uint32_t dimension, uint32_t pq_m);

 private:
  size_t ScanLists(const uint8_t* tables, const std::vector<uint32_t>& lists,
                   CodeScratch& scratch) const;
  void PrefetchNextList(CodeScratch& scratch) const;
  static void CodesOf(size_t count, CodeScratch& scratch);
  static void DropTies(size_t wanted, CodeScratch& scratch);
  void TakeRows(size_t wanted, CodeScratch& scratch,
                std::vector<uint32_t>& ids) const;
  size_t table_bytes() const {
    return codebook_.groups * kSubQuantizersPerGroup * kEntries;
  }

  const IvfParts& parts_;
  const KernelTable& kernels_;
  AlignedVector<float> codebook_values_;  // const after construction
  CodebookGroups codebook_;               // the same
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_LISTS_CODE_SCANNER_H_
