// 4-bit product quantization: vectors cut into short pieces, each replaced by
// the nearest of 16 entries (Jegou, Douze, Schmid, "Product quantization for
// nearest neighbor search", PAMI 33, 2011).
#ifndef TIMBRE_SERVER_ENGINE_TRAIN_PRODUCT_QUANTIZER_H_
#define TIMBRE_SERVER_ENGINE_TRAIN_PRODUCT_QUANTIZER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "server/engine/train/build_team.h"
#include "server/kernels/kernels.h"

namespace timbre {

// Working memory of one thread.
struct EncodeScratch {
  std::vector<float> points;    // [dimension, 16]
  std::vector<uint8_t> digits;  // [pq_m, 16]
};

// Immutable and thread-safe.
class ProductQuantizer {
 public:
  // Rows that training should be given: more do not make it better.
  static constexpr uint64_t kTrainingRows = 4096;

  // Finds the entries of `pq_m` sub-quantizers by k-means over `rows` ([count,
  // dimension], at least one), pq_m being a divisor of the dimension. The same
  // numbers for the same seed, whatever the number of threads. CANCELLED.
  static absl::StatusOr<ProductQuantizer> Train(std::span<const float> rows,
                                                uint32_t dimension,
                                                uint32_t pq_m, uint64_t seed,
                                                const KernelTable& kernels,
                                                BuildTeam& team);

  // words ([count, OctetsOf(pq_m)], kernels/layout.h) becomes the codes of
  // `rows` ([count, dimension]).
  void Encode(const float* rows, size_t count, EncodeScratch& scratch,
              uint32_t* words) const;

  // [pq_m, 16, dimension / pq_m], as faiss has them.
  std::vector<float> Codebooks() const;

 private:
  ProductQuantizer(uint32_t dimension, uint32_t pq_m,
                   const KernelTable& kernels)
      : pq_m_(pq_m),
        width_(dimension / pq_m),
        entries_(size_t{dimension} * kEntries),
        kernels_(&kernels) {}

  float* EntriesOf(size_t m) { return &entries_[m * width_ * kEntries]; }
  const float* EntriesOf(size_t m) const {
    return &entries_[m * width_ * kEntries];
  }

  uint32_t pq_m_;
  uint32_t width_;              // dimensions of a piece
  std::vector<float> entries_;  // [pq_m, width, 16]
  const KernelTable* kernels_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_TRAIN_PRODUCT_QUANTIZER_H_
