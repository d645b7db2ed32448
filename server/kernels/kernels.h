// The inner loops of retrieval, one implementation per SIMD level.
//
// Callers take a table once (BestKernels or FindKernels) and call through it;
// which table is best is decided at run time, so one binary runs on every
// x86-64 and arm64 machine. The portable table is the reference: the others
// give the same integers to the bit (integers from floats included: those
// floats are multiplied and added one by one, never fused), and floats that
// differ from it by rounding alone (n * 2^-23 of the sum of the terms'
// magnitudes). Partial distances and scores have to be finite: frames of
// magnitudes up to 1e15 see to that.
//
// Every function is pure, thread-safe, never allocates, and takes pointers of
// any alignment and counts of any value, 0 included, unless REQUIRES says
// otherwise. What a function returns for one frame or row never depends on
// those beside it.
#ifndef TIMBRE_SERVER_KERNELS_KERNELS_H_
#define TIMBRE_SERVER_KERNELS_KERNELS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/kernels/layout.h"
#include "server/kernels/prefetch_queue.h"

namespace timbre {

// What rank takes: counts fit a byte, scores a few registers.
inline constexpr size_t kMaxRanked = 64;

// A frame as int8: frame[i] - center[i] = step * value[i] within step / 2.
struct QuantizedFrame {
  float step = 0;          // largest |frame[i] - center[i]| / 127
  float squared_norm = 0;  // of frame - center
  int32_t sum = 0;         // of the values
};

// One frame's part in score_lists.
//   score = (bias * scale + offset) - (dot * step_of_centroid) * step
// clamped to 0..65535 and truncated, where dot = <frame, centroid> of the
// quantized values. Smaller is nearer.
struct ListQuery {
  const int8_t* frame = nullptr;  // [4 * groups]
  int32_t sum = 0;                // of its values
  float scale = 0;
  float offset = 0;
  float step = 0;
  uint16_t* scores = nullptr;  // [16 * blocks]
};

// One frame's part in project: coordinate = (dot * step_of_vector) * step.
struct Projection {
  const int8_t* frame = nullptr;  // [4 * groups]
  int32_t sum = 0;                // of its values
  float step = 0;
  float* coordinates = nullptr;  // [16 * blocks]
};

// Lengths that mix_rows measures on its way.
struct MixNorms {
  float squared_norm = 0;   // |frame|^2
  float squared_shift = 0;  // |out - frame|^2
};

struct KernelTable {
  absl::string_view name;  // as --simd_level takes it

  // --- exact numbers -------------------------------------------------------
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

  // out = rate * sum over i < count of weights[i] * rows[i]
  //       + (1 - rate) * frame, n numbers each; `out` may be `frame`.
  MixNorms (*mix_rows)(const float* frame, const float* const* rows,
                       const float* weights, size_t count, float rate, size_t n,
                       float* out);
  MixNorms (*mix_rows_half)(const float* frame, const uint16_t* const* rows,
                            const float* weights, size_t count, float rate,
                            size_t n, float* out);

  // --- which lists are near ------------------------------------------------
  // Writes frame - center as int8 to out[0..padded), zeros from n on. Values
  // are rounded to nearest, ties to even. REQUIRES: n <= padded.
  QuantizedFrame (*quantize)(const float* frame, const float* center, size_t n,
                             size_t padded, int8_t* out);
  // Scores all centroids for `count` frames; issues of `prefetch` on the way
  // what memory can answer meanwhile. REQUIRES: 1 <= count <= kFramesPerTile.
  void (*score_lists)(const VectorBlocks& centroids, const ListQuery* queries,
                      size_t count, PrefetchQueue& prefetch);
  // Dot products of `count` frames with all vectors; biases are not read.
  // REQUIRES: 1 <= count <= kFramesPerTile.
  void (*project)(const VectorBlocks& vectors, const Projection* frames,
                  size_t count);

  // --- which numbers are small ---------------------------------------------
  // The k-th smallest of values[0..n); or, if one is met on the way there, a
  // number that at least k and at most `enough` of them do not exceed.
  // REQUIRES: 1 <= k <= n.
  uint16_t (*kth_smallest)(const uint16_t* values, size_t n, size_t k,
                           size_t enough);
  // Writes the positions of the first `most` of values[0..n) that are <= limit,
  // in increasing order; returns how many were written. What else is below
  // positions[most] may be written to.
  size_t (*collect)(const uint16_t* values, size_t n, uint16_t limit,
                    size_t most, uint32_t* positions);
  // minima[i] = min of values[i], values[i + lanes], ...; 65535 where there
  // are none. REQUIRES: lanes is a multiple of 32.
  void (*strided_minima)(const uint16_t* values, size_t n, size_t lanes,
                         uint16_t* minima);

  // ranks[i] = how many of scores[0..n), none of them NaN, are below scores[i].
  // REQUIRES: n <= kMaxRanked.
  void (*rank)(const float* scores, size_t n, uint8_t* ranks);

  // --- approximate distances from 4-bit codes ------------------------------
  // Look-up tables of `count` frames, 16 bytes a sub-quantizer: its partial
  // distances less the smallest of them, in units that all tables of the frame
  // share, so that no entry exceeds 255 and no sum of m entries 65534 (the
  // scale of faiss's quantize_LUT.cpp).
  //   frames   [sub_quantizers, width] each
  //   work     [2 * TableWork(codebook)] floats
  //   tables   per frame [16 * groups][16]
  // REQUIRES: 1 <= count <= 2.
  void (*fill_tables)(const CodebookGroups& codebook,
                      const float* const* frames, size_t count, float* work,
                      uint8_t* const* tables);
  // digits[i] = which of kEntries entries point i < count is nearest to, ties
  // to the first: how codes are made.
  //   points   [width][stride], the first `count` <= stride of each
  //   entries  [width][kEntries]
  // REQUIRES: count is a multiple of 16; squared distances are finite.
  void (*nearest_entries)(const float* points, size_t stride, size_t count,
                          size_t width, const float* entries, uint8_t* digits);
  // Puts code blocks (see layout.h) into the order that scan_codes of this
  // table wants, in place.
  void (*arrange_codes)(uint8_t* blocks, size_t bytes);
  // sums[i] = sum over r < 8 * octets of tables[r][digit r of code i], modulo
  // 2^16, for the 16 * count codes of arranged blocks.
  void (*scan_codes)(const uint8_t* tables, const uint8_t* blocks, size_t count,
                     size_t octets, uint16_t* sums);
};

// Every table that this CPU can run, best first; the last is the portable one.
const std::vector<const KernelTable*>& SupportedKernels();

// The best of them.
const KernelTable& BestKernels();

// The table called `name`, or null if it is unknown or this CPU lacks it.
const KernelTable* FindKernels(absl::string_view name);

}  // namespace timbre

#endif  // TIMBRE_SERVER_KERNELS_KERNELS_H_
