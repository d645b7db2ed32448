// What every complete SIMD level has: the functions of kernels.h, declared
// once.
#ifndef TIMBRE_SERVER_KERNELS_LEVEL_H_
#define TIMBRE_SERVER_KERNELS_LEVEL_H_

#include "server/kernels/kernels.h"

// Declares them in namespace timbre::`level`, whose files define them.
#define TIMBRE_DECLARE_LEVEL(level)                                           \
  namespace timbre::level {                                                   \
  float Dot(const float* a, const float* b, size_t n);                        \
  float SquaredL2(const float* a, const float* b, size_t n);                  \
  float DotHalf(const float* a, const uint16_t* b, size_t n);                 \
  float SquaredL2Half(const float* a, const uint16_t* b, size_t n);           \
  void HalfToFloats(const uint16_t* in, size_t n, float* out);                \
  void FloatToHalves(const float* in, size_t n, uint16_t* out);               \
  MixNorms MixRows(const float* frame, const float* const* rows,              \
                   const float* weights, size_t count, float rate, size_t n,  \
                   float* out);                                               \
  MixNorms MixRowsHalf(const float* frame, const uint16_t* const* rows,       \
                       const float* weights, size_t count, float rate,        \
                       size_t n, float* out);                                 \
  QuantizedFrame Quantize(const float* frame, const float* center, size_t n,  \
                          size_t padded, int8_t* out);                        \
  void ScoreLists(const VectorBlocks& centroids, const ListQuery* queries,    \
                  size_t count, PrefetchQueue& prefetch);                     \
  void Project(const VectorBlocks& vectors, const Projection* frames,         \
               size_t count);                                                 \
  uint16_t KthSmallest(const uint16_t* values, size_t n, size_t k,            \
                       size_t enough);                                        \
  size_t Collect(const uint16_t* values, size_t n, uint16_t limit,            \
                 size_t most, uint32_t* positions);                           \
  void StridedMinima(const uint16_t* values, size_t n, size_t lanes,          \
                     uint16_t* minima);                                       \
  void Rank(const float* scores, size_t n, uint8_t* ranks);                   \
  void FillTables(const CodebookGroups& codebook, const float* const* frames, \
                  size_t count, float* work, uint8_t* const* tables);         \
  void NearestEntries(const float* points, size_t stride, size_t count,       \
                      size_t width, const float* entries, uint8_t* digits);   \
  void ScanCodes(const uint8_t* tables, const uint8_t* blocks, size_t count,  \
                 size_t octets, uint16_t* sums);                              \
  }                                                                           \
  static_assert(true)  // takes the semicolon

#endif  // TIMBRE_SERVER_KERNELS_LEVEL_H_
