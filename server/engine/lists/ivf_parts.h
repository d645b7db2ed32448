// An inverted-file index taken apart: plain numbers without faiss.
#ifndef TIMBRE_SERVER_ENGINE_LISTS_IVF_PARTS_H_
#define TIMBRE_SERVER_ENGINE_LISTS_IVF_PARTS_H_

#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <span>
#include <vector>

#include "server/base/aligned_vector.h"
#include "server/engine/lists/index_spec.h"
#include "server/kernels/layout.h"

namespace timbre {

// Which rows each list holds, and their codes. A value; const use is
// thread-safe.
struct IvfParts {
  // Its arrays lie in `memory`, which outlives it; null: the heap.
  explicit IvfParts(std::pmr::memory_resource* memory = nullptr)
      : centroids(memory),
        list_begin(memory),
        ids(memory),
        codebooks(memory),
        codes(memory),
        code_begin(memory),
        code_rows(memory),
        shared(memory) {}

  uint32_t dimension = 0;
  uint32_t nlist = 0;
  AlignedVector<float> centroids;      // [nlist, dimension]
  AlignedVector<uint32_t> list_begin;  // [nlist + 1], offsets into `ids`
  // Rows, list by list; in increasing order within a list, or with codes within
  // those that share one.
  AlignedVector<uint32_t> ids;

  // Only with a product quantizer (pq_m > 0):
  uint32_t pq_m = 0;               // sub-quantizers
  AlignedVector<float> codebooks;  // [pq_m, 16, dimension / pq_m]
  // The different codes of each list in blocks (kernels/layout.h), by their
  // first ids. Lists share the blocks at their ends, so that a code takes
  // pq_m / 2 bytes however short the lists are. Rows that are equal, as in
  // silence, have one code, which is scanned once.
  AlignedVector<uint8_t> codes;
  AlignedVector<uint32_t> code_begin;  // [nlist + 1], in codes
  // The row of each code, or, with kShared, which of `shared` its rows are.
  static constexpr uint32_t kShared = 0x80000000U;
  static_assert(kMaxRows <= kShared);
  AlignedVector<uint32_t> code_rows;
  struct Range {
    uint32_t begin = 0;  // in `ids`
    uint32_t count = 0;
  };
  AlignedVector<Range> shared;

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

  // What was reserved but never written is not resident.
  size_t resident_bytes() const {
    return (centroids.size() + codebooks.size()) * sizeof(float) +
           (list_begin.size() + ids.size() + code_begin.size() +
            code_rows.size()) *
               sizeof(uint32_t) +
           shared.size() * sizeof(Range) + codes.size();
  }
  // At most that for `rows` rows in lists of `spec`, of which nothing else is
  // known: no two of them share a code, since sharing never takes more.
  static size_t MostResidentBytes(const IndexSpec& spec, uint64_t rows,
                                  uint32_t dimension);
};

// Lists whose codes are not packed yet.
struct CodedLists {
  IvfParts parts;               // without codes
  std::vector<uint32_t> words;  // [rows, OctetsOf(pq_m)], kernels/layout.h
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_LISTS_IVF_PARTS_H_
