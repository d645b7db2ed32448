// The parts that index files are made of, checked. Not for use outside of this
// folder. Pure functions; what is wrong is said to the cursor.
#ifndef TIMBRE_CLIENT_FILES_FAISS_INDEX_PARTS_H_
#define TIMBRE_CLIENT_FILES_FAISS_INDEX_PARTS_H_

#include <cstdint>

#include "client/files/faiss/byte_cursor.h"

namespace timbre::client {

// Four letters as faiss writes them.
constexpr uint32_t Letters(const char (&text)[5]) {
  uint32_t word = 0;
  for (int i = 3; i >= 0; --i) {
    word = word << 8 | static_cast<unsigned char>(text[i]);
  }
  return word;
}

// What every index begins with.
struct IndexHead {
  uint64_t rows = 0;
  uint32_t dimension = 0;
};
IndexHead ReadHead(ByteCursor& file);

// Numbers that faiss can compute with: it has no answer where squares overflow,
// and takes what lies in memory for one. Timbre refuses frames beyond 1e15 too.
void CheckNumbers(ByteCursor& file, const FileArray<float>& numbers);

// The bytes of a code; 0 after a failure.
uint64_t CheckProductQuantizer(ByteCursor& file, uint32_t dimension,
                               uint64_t* digits, uint64_t* bits);
uint64_t CheckScalarQuantizer(ByteCursor& file, uint32_t dimension);

// The graph of an index of `rows`.
void CheckGraph(ByteCursor& file, uint64_t rows);

void CheckDirectMap(ByteCursor& file, uint64_t rows);
// Lists of codes, one behind the other; or of frames, `code_bytes` each.
enum class ListsOf { kCodes, kFrames };
void CheckLists(ByteCursor& file, uint64_t nlist, uint64_t rows,
                uint64_t code_bytes, ListsOf what = ListsOf::kCodes);
// Lists in blocks of `block_codes` codes of `block_bytes`.
void CheckBlockLists(ByteCursor& file, uint64_t nlist, uint64_t rows,
                     uint64_t code_bytes, uint64_t block_codes,
                     uint64_t block_bytes);

struct Transform {
  uint32_t from = 0;  // dimensions
  uint32_t to = 0;
};
Transform CheckTransform(ByteCursor& file);

}  // namespace timbre::client

#endif  // TIMBRE_CLIENT_FILES_FAISS_INDEX_PARTS_H_
