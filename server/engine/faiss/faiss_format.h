// faiss's file format, as far as Timbre composes such files itself.
//
// faiss can only write an index that it holds in memory, all frames included.
// Timbre's frames lie in total_fea.npy, so an index file is put together from
// headers made here, stored files and rows, and streamed. The layout is that
// of faiss/impl/index_write.cpp, unchanged in all of kVersions; the tests read
// every composition back with faiss. Pure functions.
#ifndef TIMBRE_SERVER_ENGINE_FAISS_FAISS_FORMAT_H_
#define TIMBRE_SERVER_ENGINE_FAISS_FAISS_FORMAT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "absl/strings/string_view.h"
#include "server/engine/frames/metric.h"

namespace timbre::faiss_format {

// The versions of faiss that write and read these files: the oldest that Debian
// 12 has, and the newest that the tests of the Python package install.
inline constexpr char kVersions[] = "1.7-1.15";

// Every index is of `rows` vectors of `dimension` floats.
struct Shape {
  uint64_t rows = 0;
  uint32_t dimension = 0;
  Metric metric = Metric::kL2;  // kCosine is inner product of unit vectors
};

// IndexPreTransform with one L2 normalisation; an index follows.
std::string NormalizingHeader(const Shape& shape);

// IndexRefine; the base index, the refine index and RefineTrailer follow.
std::string RefineHeader(const Shape& shape);
std::string RefineTrailer(float k_factor);

// IndexFlat; its floats follow.
std::string FlatHeader(const Shape& shape);

// IndexScalarQuantizer of type fp16; its halves follow.
std::string HalfHeader(const Shape& shape);

// IndexIVFFlat up to the first list. `centroids` is [nlist, dimension],
// `sizes` [nlist]. The lists follow: rows as floats, then ids as int64.
std::string IvfFlatHeader(const Shape& shape, uint32_t nlist, uint32_t nprobe,
                          const float* centroids, const uint64_t* sizes);

// What an IndexIVFPQFastScan without residuals is made of.
struct CodedShape {
  uint32_t nlist = 0;
  uint32_t nprobe = 1;
  uint32_t pq_m = 0;
};

// IndexIVFPQFastScan up to the first list. The lists follow: the number of
// their ids, the ids as int64, the number of bytes of their blocks, the blocks.
//   centroids  [nlist, dimension]
//   codebooks  [pq_m, 16, dimension / pq_m]
std::string IvfPqHeader(const Shape& shape, const CodedShape& coded,
                        std::span<const float> centroids,
                        std::span<const float> codebooks);

// A block holds 32 codes, 16 bytes per digit, in an order made for faiss's AVX2
// kernel (pq4_fast_scan.cpp, perm0): byte i has a digit of code kBlockOrder[i]
// in its low bits, and of code kBlockOrder[i] + 16 in its high ones.
inline constexpr size_t kBlockCodes = 32;
inline constexpr std::array<uint8_t, 16> kBlockOrder = {
    0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15};

// Digits are padded to an even number.
constexpr size_t BlockDigits(uint32_t pq_m) {
  return (size_t{pq_m} + 1) / 2 * 2;
}
constexpr size_t BlockBytes(uint32_t pq_m) { return 16 * BlockDigits(pq_m); }

// Where an IVF index keeps its uint64 nprobe, from the beginning of its file.
inline constexpr size_t kIvfNprobeOffset = 4 + 33 + 8;

}  // namespace timbre::faiss_format

#endif  // TIMBRE_SERVER_ENGINE_FAISS_FAISS_FORMAT_H_
