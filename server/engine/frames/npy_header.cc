#include "server/engine/frames/npy_header.h"

#include "absl/strings/str_cat.h"

namespace timbre {

std::string NpyHeader(ElementType type, uint64_t rows, uint32_t dimension) {
  constexpr size_t kPrefixBytes = 10;  // magic, version, length of the rest
  constexpr size_t kDictBytes = kNpyHeaderBytes - kPrefixBytes;
  std::string dict = absl::StrCat(
      "{'descr': '", type == ElementType::kFloat16 ? "<f2" : "<f4",
      "', 'fortran_order': False, 'shape': (", rows, ", ", dimension, "), }");
  dict.resize(kDictBytes - 1, ' ');
  dict.push_back('\n');
  return absl::StrCat(std::string("\x93NUMPY\x01\x00", 8),
                      std::string{static_cast<char>(kDictBytes), '\0'}, dict);
}

}  // namespace timbre
