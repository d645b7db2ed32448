// faiss's file format, as far as Timbre composes such files itself.
//
// faiss can only write an index that it holds in memory, all frames included.
// Timbre's frames lie in total_fea.npy, so an index file is put together from
// headers made here, stored files and rows, and streamed. The layout is that
// of faiss/impl/index_write.cpp, unchanged from 1.7 to 1.11; the tests read
// every composition back with faiss. Pure functions.
#ifndef TIMBRE_SERVER_ENGINE_FAISS_FORMAT_H_
#define TIMBRE_SERVER_ENGINE_FAISS_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "server/engine/metric.h"

namespace timbre::faiss_format {

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

// Where an IVF index keeps its uint64 nprobe, from the beginning of its file.
inline constexpr size_t kIvfNprobeOffset = 4 + 33 + 8;

}  // namespace timbre::faiss_format

#endif  // TIMBRE_SERVER_ENGINE_FAISS_FORMAT_H_
