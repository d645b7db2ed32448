// From lists of rows and their codes to the blocks that are scanned.
#ifndef TIMBRE_SERVER_ENGINE_LISTS_CODE_PACKER_H_
#define TIMBRE_SERVER_ENGINE_LISTS_CODE_PACKER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "server/engine/lists/ivf_parts.h"

namespace timbre {

// Fills the lists of `parts`, whose pq_m is set, one after the other. Not
// thread-safe.
class CodePacker {
 public:
  // Of `rows` rows in all.
  CodePacker(uint64_t rows, IvfParts& parts);

  // The next list: its rows in increasing order, and their codes, [count,
  // octets] words (kernels/layout.h).
  void AddList(const uint32_t* rows, size_t count, const uint32_t* words);

  // Puts the ranges of equal rows where these saved codes, and gives back what
  // is left of that where it is much. Call once, last; nothing is to be
  // allocated beside the codes meanwhile.
  void Finish();

 private:
  // first_[i] becomes the first row whose code equals that of row i.
  void FindEqual(size_t count, const uint32_t* words);
  void AppendCode(const uint32_t* words);

  IvfParts& parts_;
  const size_t octets_;
  std::vector<uint32_t> slots_;  // of a hash table: 0, or 1 + a row's place
  std::vector<uint32_t> first_;
  std::vector<uint32_t> equal_;  // how many rows share a first row's code
  std::vector<IvfParts::Range> shared_;  // parts_.shared, to be
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_LISTS_CODE_PACKER_H_
