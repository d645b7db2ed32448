// What becomes of the dot products of frames with 16 vectors.
#ifndef TIMBRE_SERVER_KERNELS_AVX512_SCORE_BLOCK_H_
#define TIMBRE_SERVER_KERNELS_AVX512_SCORE_BLOCK_H_

#include "server/kernels/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "server/kernels/avx512/target.h"

namespace timbre::avx512 {

// `dots` are of values + 128; in units of the frame's step.
TIMBRE_AVX512 inline __m512 Scale(const VectorBlocks& vectors, size_t block,
                                  __m512i dots, int32_t sum) {
  return _mm512_mul_ps(
      _mm512_cvtepi32_ps(_mm512_sub_epi32(dots, _mm512_set1_epi32(128 * sum))),
      _mm512_loadu_ps(vectors.steps + block * kVectorsPerBlock));
}

// Coordinates: see Projection for the formula.
TIMBRE_AVX512 inline void Write(const VectorBlocks& vectors, size_t block,
                                __m512i dots, const Projection& frame) {
  _mm512_storeu_ps(frame.coordinates + block * kVectorsPerBlock,
                   _mm512_mul_ps(Scale(vectors, block, dots, frame.sum),
                                 _mm512_set1_ps(frame.step)));
}

// Scores: see ListQuery for the formula.
TIMBRE_AVX512 inline void Write(const VectorBlocks& centroids, size_t block,
                                __m512i dots, const ListQuery& query) {
  const size_t first = block * kVectorsPerBlock;
  const __m512 dot = Scale(centroids, block, dots, query.sum);
  const __m512 bias =
      _mm512_add_ps(_mm512_mul_ps(_mm512_loadu_ps(centroids.biases + first),
                                  _mm512_set1_ps(query.scale)),
                    _mm512_set1_ps(query.offset));
  const __m512 score =
      _mm512_sub_ps(bias, _mm512_mul_ps(dot, _mm512_set1_ps(query.step)));
  const __m512 clamped = _mm512_min_ps(
      _mm512_max_ps(score, _mm512_setzero_ps()), _mm512_set1_ps(65535.0F));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(query.scores + first),
                      _mm512_cvtepi32_epi16(_mm512_cvttps_epi32(clamped)));
}

}  // namespace timbre::avx512

#endif  // defined(__x86_64__)
#endif  // TIMBRE_SERVER_KERNELS_AVX512_SCORE_BLOCK_H_
