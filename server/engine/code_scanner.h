// Approximate distances from 4-bit product-quantizer codes ("FastScan").
#ifndef TIMBRE_SERVER_ENGINE_CODE_SCANNER_H_
#define TIMBRE_SERVER_ENGINE_CODE_SCANNER_H_

#include <cstdint>
#include <vector>

#include "server/engine/ivf_parts.h"
#include "server/engine/metric.h"
#include "server/engine/top_k.h"
#include "server/kernels/kernels.h"

namespace timbre {

// Per-thread working memory of CodeScanner.
struct CodeScratch {
  std::vector<float> distances;  // [pq_m, 16]
  std::vector<uint8_t> tables;   // [padded_m, 16]
  std::vector<uint16_t> sums;    // of one list
};

// Immutable and thread-safe. Refers to `parts`, which must outlive it.
class CodeScanner {
 public:
  CodeScanner(const IvfParts& parts, Metric metric, const KernelTable& kernels);

  // Quantizes the look-up tables of `query` ([dimension], normalised for
  // kCosine). The codes hold the frames themselves, no residuals, so that one
  // set of tables serves every list.
  void Prepare(const float* query, CodeScratch& scratch) const;

  // Pushes (approximate distance, id) of every row of `list`.
  void Scan(uint32_t list, CodeScratch& scratch, TopK& top) const;

  size_t resident_bytes() const {
    return transposed_.capacity() * sizeof(float);
  }

 private:
  void FillDistances(const float* query, float* distances) const;

  const IvfParts& parts_;
  const Metric metric_;
  const KernelTable& kernels_;
  const uint32_t digits_per_code_;  // dimension / pq_m
  // The codebooks as [pq_m, dimension / pq_m, 16]: sixteen entries at once.
  std::vector<float> transposed_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_CODE_SCANNER_H_
