// The inner loops of retrieval, one implementation per SIMD level.
//
// Callers take a table once (Kernels(level)) and call through it; which table
// is best is decided at run time, so one binary runs on every x86-64 and arm64
// machine. The portable table is the reference: the others give the same
// integers, and floats that differ from it by rounding alone (relative error
// below n * 2^-23). Every function is pure, thread-safe, never allocates, and
// takes pointers of any alignment and counts of any value, 0 included. What a
// function returns for one row never depends on the rows beside it.
#ifndef TIMBRE_SERVER_KERNELS_KERNELS_H_
#define TIMBRE_SERVER_KERNELS_KERNELS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"

namespace timbre {

// Codes are scanned in blocks of this many.
inline constexpr size_t kCodesPerBlock = 32;

struct KernelTable {
  absl::string_view name;  // "portable", "avx2", "avx512"

  // sum over i < n of a[i] * b[i].
  float (*dot)(const float* a, const float* b, size_t n);
  // sum over i < n of (a[i] - b[i])^2; exactly 0 for equal inputs.
  float (*squared_l2)(const float* a, const float* b, size_t n);
  // The same with b in binary16.
  float (*dot_half)(const float* a, const uint16_t* b, size_t n);
  float (*squared_l2_half)(const float* a, const uint16_t* b, size_t n);

  // out[i] = HalfToFloat(in[i]), FloatToHalf(in[i]) of base/half.h, i < n.
  void (*half_to_float)(const uint16_t* in, size_t n, float* out);
  void (*float_to_half)(const float* in, size_t n, uint16_t* out);

  // Sums of table entries for 4-bit codes.
  //   tables: m rows of 16 entries (16 m bytes); m is a multiple of 4
  //   blocks: `count` blocks of 16 m bytes; byte 16 r + j of a block holds the
  //           r-th digit of code j (low four bits) and of code j + 16
  //   sums:   32 * count sums over r < m of tables[r][digit r of the code],
  //           modulo 2^16
  void (*scan_codes)(const uint8_t* tables, const uint8_t* blocks, size_t count,
                     size_t m, uint16_t* sums);
};

// Every table that this CPU can run, best first; the last is the portable one.
const std::vector<const KernelTable*>& SupportedKernels();

// The best of them.
const KernelTable& BestKernels();

// The table called `name`, or null if it is unknown or this CPU lacks it.
const KernelTable* FindKernels(absl::string_view name);

}  // namespace timbre

#endif  // TIMBRE_SERVER_KERNELS_KERNELS_H_
