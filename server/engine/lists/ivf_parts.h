// An inverted-file index taken apart: plain numbers without faiss.
#ifndef TIMBRE_SERVER_ENGINE_LISTS_IVF_PARTS_H_
#define TIMBRE_SERVER_ENGINE_LISTS_IVF_PARTS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "server/base/aligned_vector.h"
#include "server/engine/lists/index_spec.h"
#include "server/kernels/layout.h"

namespace timbre {

// Which rows each list holds, and their codes. A value; const use is
// thread-safe.
struct IvfParts {
  uint32_t dimension = 0;
  uint32_t nlist = 0;
  std::vector<float> centroids;      // [nlist, dimension]
  std::vector<uint32_t> list_begin;  // [nlist + 1], offsets into `ids`
  // Rows, list by list; in increasing order within a list, or with codes within
  // those that share one.
  std::vector<uint32_t> ids;

  // Only with a product quantizer (pq_m > 0):
  uint32_t pq_m = 0;             // sub-quantizers
  std::vector<float> codebooks;  // [pq_m, 16, dimension / pq_m]
  // The different codes of each list in blocks (kernels/layout.h), by their
  // first ids. Lists share the blocks at their ends, so that a code takes
  // pq_m / 2 bytes however short the lists are. Rows that are equal, as in
  // silence, have one code, which is scanned once.
  AlignedVector<uint8_t> codes;
  std::vector<uint32_t> code_begin;  // [nlist + 1], in codes
  // The row of each code, or, with kShared, which of `shared` its rows are.
  static constexpr uint32_t kShared = 0x80000000U;
  static_assert(kMaxRows <= kShared);
  std::vector<uint32_t> code_rows;
  struct Range {
    uint32_t begin = 0;  // in `ids`
    uint32_t count = 0;
  };
  std::vector<Range> shared;

  // The rows of code `code`, in increasing order.
  std::span<const uint32_t> RowsOf(uint32_t code) const {
    const uint32_t row = code_rows[code];
    if ((row & kShared) == 0) return {&code_rows[code], 1};
    const Range& range = shared[row & ~kShared];
    return {ids.data() + range.begin, range.count};
  }

  std::span<const uint32_t> List(uint32_t list) const {
    return {ids.data() + list_begin[list], ids.data() + list_begin[list + 1]};
  }

  // Whether the numbers are such as training makes, and each of `rows` rows is
  // in one list. Of what a file holds: digests say that nothing has changed,
  // not that it was right.
  bool IsSound(uint64_t rows) const;

  size_t block_bytes() const { return OctetsOf(pq_m) * kOctetBytes; }

  // What was reserved for codes but never written is not resident.
  size_t resident_bytes() const {
    return (centroids.capacity() + codebooks.capacity()) * sizeof(float) +
           (list_begin.capacity() + ids.capacity() + code_begin.capacity() +
            code_rows.capacity()) *
               sizeof(uint32_t) +
           shared.capacity() * sizeof(Range) + codes.size();
  }
};

// Lists whose codes are not packed yet.
struct CodedLists {
  IvfParts parts;               // without codes
  std::vector<uint32_t> words;  // [rows, OctetsOf(pq_m)], kernels/layout.h
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_LISTS_IVF_PARTS_H_
