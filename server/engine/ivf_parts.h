// An inverted-file index taken apart: plain numbers without faiss.
#ifndef TIMBRE_SERVER_ENGINE_IVF_PARTS_H_
#define TIMBRE_SERVER_ENGINE_IVF_PARTS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "server/kernels/kernels.h"

namespace timbre {

// Which rows each list holds, and their codes. A value; const use is
// thread-safe.
struct IvfParts {
  uint32_t dimension = 0;
  uint32_t nlist = 0;
  std::vector<float> centroids;      // [nlist, dimension]
  std::vector<uint32_t> list_begin;  // [nlist + 1], offsets into `ids`
  std::vector<uint32_t> ids;         // rows, list by list

  // Only with a product quantizer (pq_m > 0):
  uint32_t pq_m = 0;             // sub-quantizers
  std::vector<float> codebooks;  // [pq_m, 16, dimension / pq_m]
  // Each list's codes in blocks as scan_codes wants them; a list starts at a
  // new block, and the codes after its end are 0.
  std::vector<uint8_t> blocks;
  std::vector<uint32_t> block_begin;  // [nlist + 1], in blocks

  std::span<const uint32_t> List(uint32_t list) const {
    return {ids.data() + list_begin[list], ids.data() + list_begin[list + 1]};
  }

  // pq_m rounded up to what scan_codes takes; the added digits are 0.
  uint32_t padded_m() const { return (pq_m + 3) / 4 * 4; }
  size_t block_bytes() const { return size_t{16} * padded_m(); }
  size_t BlocksOf(uint32_t list) const {
    return (List(list).size() + kCodesPerBlock - 1) / kCodesPerBlock;
  }

  size_t resident_bytes() const {
    return (centroids.capacity() + codebooks.capacity()) * sizeof(float) +
           (list_begin.capacity() + ids.capacity() + block_begin.capacity()) *
               sizeof(uint32_t) +
           blocks.capacity();
  }
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_IVF_PARTS_H_
