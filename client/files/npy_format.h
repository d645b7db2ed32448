// NumPy's .npy format, of bytes in memory. Pure functions, thread-safe.
#ifndef TIMBRE_CLIENT_FILES_NPY_FORMAT_H_
#define TIMBRE_CLIENT_FILES_NPY_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/cpp/matrix.h"

namespace timbre::client {

// A matrix of floating-point numbers, as a header describes it.
struct NpyHeader {
  size_t data_offset = 0;      // where the elements begin
  uint32_t element_bytes = 0;  // 2, 4 or 8
  bool big_endian = false;
  bool fortran_order = false;
  uint64_t rows = 0;
  uint32_t columns = 0;  // 1..65536
};

// Reads the header of `head`, the beginning (at least 64 KiB, or all) of a file
// of `file_bytes`: versions 1.0 to 3.0, float16, float32 and float64 of either
// byte order, C or Fortran order. INVALID_ARGUMENT for anything else, other
// numbers of axes and shapes that are not what the file holds among it.
absl::StatusOr<NpyHeader> ParseNpyHeader(absl::string_view head,
                                         uint64_t file_bytes);

// All of a file, as float32 in C order. Takes memory for what the file really
// holds, whatever its header says.
absl::StatusOr<FrameMatrix> ParseNpy(absl::string_view file);

// The header of version 1.0 of a C-ordered matrix; `type` is "<f4" or the like.
std::string MakeNpyHeader(absl::string_view type, uint64_t rows,
                          uint64_t columns);

}  // namespace timbre::client

#endif  // TIMBRE_CLIENT_FILES_NPY_FORMAT_H_
