// How the numbers of an index lie in memory for the kernels.
#ifndef TIMBRE_SERVER_KERNELS_LAYOUT_H_
#define TIMBRE_SERVER_KERNELS_LAYOUT_H_

#include <cstddef>
#include <cstdint>

namespace timbre {

// Frames that are searched side by side: they share every load of a centroid.
inline constexpr size_t kFramesPerTile = 4;

// --- vectors -----------------------------------------------------------------
// Blocks of 16 vectors, quantized to int8 and stored as value + 128:
//   values[block][group of 4 dimensions][vector][dimension of the group]
// so that one 64-byte load and one int8 dot-product instruction advance 16
// vectors by 4 dimensions.
inline constexpr size_t kVectorsPerBlock = 16;
inline constexpr size_t kDimensionsPerGroup = 4;
inline constexpr size_t kGroupBytes = kVectorsPerBlock * kDimensionsPerGroup;

// Differences and ranges below this count as none: 127 / x would overflow.
inline constexpr float kTiny = 1e-30F;

struct VectorBlocks {
  const uint8_t* values = nullptr;
  const float* steps = nullptr;   // [16 * blocks], of each vector's values
  const float* biases = nullptr;  // [16 * blocks]; infinite: not to be visited
  size_t blocks = 0;
  size_t groups = 0;
};

// --- codes -------------------------------------------------------------------
// A code is `octets` words of eight digits of four bits (those beyond the
// sub-quantizers are 0): byte t of word o, t < 4, holds digit 8 o + t in its
// low and digit 8 o + 4 + t in its high four bits. Codes follow one another
// without gaps between lists, in blocks of 16:
//   words[block][octet][code]
// until arrange_codes changes the order of the 64 bytes of each octet.
inline constexpr size_t kCodesPerBlock = 16;
inline constexpr size_t kDigitsPerOctet = 8;
inline constexpr size_t kOctetBytes = 64;

// Where in its word digit `m` of a code is.
inline constexpr size_t DigitShift(size_t m) {
  const size_t digit = m % kDigitsPerOctet;
  return digit % 4 * 8 + digit / 4 * 4;
}

inline constexpr size_t OctetsOf(size_t sub_quantizers) {
  return (sub_quantizers + kDigitsPerOctet - 1) / kDigitsPerOctet;
}

// --- codebooks ---------------------------------------------------------------
// Groups of 16 sub-quantizers of 16 entries of `width` numbers:
//   values[group][entry][0: constant, 1 + s: number s][lane]
// Lane 4 b + a of a group is its sub-quantizer 4 a + b: the order in which the
// 4 x 4 byte transpositions of fill_tables leave whole rows.
inline constexpr size_t kEntries = 16;
inline constexpr size_t kSubQuantizersPerGroup = 16;

struct CodebookGroups {
  const float* values = nullptr;
  size_t groups = 0;
  size_t width = 0;           // dimensions of a sub-quantizer
  size_t sub_quantizers = 0;  // <= 16 * groups; the rest are zeros
  // A partial distance is constant - factor * <frame, entry>.
  float factor = 1;
  // Distances are negated inner products. An entry then is the largest of its
  // table less what faiss would have there, so that sums, and with them the
  // order of codes, are faiss's to the last unit of rounding.
  bool mirrored = false;
};

inline constexpr size_t GroupsOf(size_t sub_quantizers) {
  return (sub_quantizers + kSubQuantizersPerGroup - 1) / kSubQuantizersPerGroup;
}

// The lane of sub-quantizer `i` of a group.
inline constexpr size_t LaneOf(size_t i) { return i % 4 * 4 + i / 4; }

// Floats of working memory that one frame's look-up tables take: its spread
// numbers, partial distances, and the least and the span of every table.
inline constexpr size_t TableWork(const CodebookGroups& codebook) {
  return codebook.groups * (codebook.width + kEntries + 2) *
         kSubQuantizersPerGroup;
}

// What turns partial distances into table entries: the widest table ends at
// 255, unless sums could then exceed 16 bits, each entry being rounded by up to
// 1/2. `total` is the sum of all spans. 0 where all entries are alike.
inline float TableScale(const CodebookGroups& codebook, float widest,
                        float total) {
  // Below that 255 / widest would overflow.
  if (widest < 1e-36F) return 0;
  const float most = 65534.0F - static_cast<float>(codebook.sub_quantizers);
  return 255.0F / widest < most / total ? 255.0F / widest : most / total;
}

// Spreads a frame ([sub_quantizers, width]) over the lanes of its groups:
//   out[group][s][lane] = factor * frame[sub-quantizer][s]
void SpreadFrame(const float* frame, const CodebookGroups& codebook,
                 float* out);

}  // namespace timbre

#endif  // TIMBRE_SERVER_KERNELS_LAYOUT_H_
