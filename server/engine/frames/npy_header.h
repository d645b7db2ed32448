// The first 128 bytes of total_fea.npy (NumPy's format 1.0): fixed in length,
// so that rows begin at a multiple of 64 bytes and the number of rows can be
// filled in last.
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#ifndef TIMBRE_SERVER_ENGINE_FRAMES_NPY_HEADER_H_
#define TIMBRE_SERVER_ENGINE_FRAMES_NPY_HEADER_H_

#include <cstdint>
#include <string>

#include "server/base/element_type.h"

namespace timbre {

inline constexpr size_t kNpyHeaderBytes = 128;

// Of a C-ordered matrix [rows, dimension].
std::string NpyHeader(ElementType type, uint64_t rows, uint32_t dimension);

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_FRAMES_NPY_HEADER_H_
