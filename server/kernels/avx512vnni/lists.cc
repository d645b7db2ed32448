#include "server/kernels/avx512vnni/avx512vnni.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "server/kernels/avx512/score_block.h"

namespace timbre::avx512vnni {
namespace {

TIMBRE_AVX512_VNNI inline __m512i SpreadGroup(const int8_t* values) {
  int32_t four = 0;
  std::memcpy(&four, values, sizeof(four));
  return _mm512_set1_epi32(four);
}

// Groups between two looks at what is to be prefetched, and lines issued then:
// one in some 32 cycles, no faster than memory answers random reads, or the
// loads of the loop would have to wait behind them.
constexpr size_t kStep = 8;
constexpr size_t kLinesPerStep = 4;

// kBlocks blocks x kFrames frames in registers: every load of 64 vectors
// serves all frames, every broadcast of a frame all vectors. 4 x 4 is what 32
// registers hold.
template <size_t kBlocks, size_t kFrames>
struct Tile {
  __m512i dots[kFrames][kBlocks];
};

template <size_t kBlocks, size_t kFrames>
TIMBRE_AVX512_VNNI inline void AddGroups(const uint8_t* values,
                                         size_t block_bytes,
                                         const int8_t* const* frames,
                                         size_t first, size_t last,
                                         Tile<kBlocks, kFrames>& tile) {
  Tile<kBlocks, kFrames> t = tile;
  for (size_t g = first; g < last; ++g) {
    __m512i c[kBlocks];
#pragma GCC unroll 4
    for (size_t b = 0; b < kBlocks; ++b) {
      c[b] = _mm512_loadu_si512(values + b * block_bytes + g * kGroupBytes);
    }
#pragma GCC unroll 4
    for (size_t q = 0; q < kFrames; ++q) {
      const __m512i x = SpreadGroup(frames[q] + g * kDimensionsPerGroup);
#pragma GCC unroll 4
      for (size_t b = 0; b < kBlocks; ++b) {
        t.dots[q][b] = _mm512_dpbusd_epi32(t.dots[q][b], c[b], x);
      }
    }
  }
  tile = t;
}

template <size_t kBlocks, size_t kFrames, typename Query>
TIMBRE_AVX512_VNNI inline void ForTile(const VectorBlocks& vectors,
                                       size_t block, const Query* queries,
                                       PrefetchQueue& prefetch) {
  const size_t block_bytes = vectors.groups * kGroupBytes;
  const uint8_t* const values = vectors.values + block * block_bytes;
  const int8_t* frames[kFrames];
  for (size_t q = 0; q < kFrames; ++q) frames[q] = queries[q].frame;
  Tile<kBlocks, kFrames> tile = {};
  for (size_t g = 0; g < vectors.groups; g += kStep) {
    AddGroups(values, block_bytes, frames, g,
              std::min(g + kStep, vectors.groups), tile);
    for (size_t i = 0; i < kLinesPerStep && !prefetch.empty(); ++i) {
      prefetch.IssueLine();
    }
  }
#pragma GCC unroll 4
  for (size_t q = 0; q < kFrames; ++q) {
#pragma GCC unroll 4
    for (size_t b = 0; b < kBlocks; ++b) {
      avx512::Write(vectors, block + b, tile.dots[q][b], queries[q]);
    }
  }
}

template <size_t kFrames, typename Query>
TIMBRE_AVX512_VNNI void ForAll(const VectorBlocks& vectors,
                               const Query* queries, PrefetchQueue& prefetch) {
  size_t block = 0;
  for (; block + 4 <= vectors.blocks; block += 4) {
    ForTile<4, kFrames>(vectors, block, queries, prefetch);
  }
  for (; block < vectors.blocks; ++block) {
    ForTile<1, kFrames>(vectors, block, queries, prefetch);
  }
}

template <typename Query>
void ForAny(const VectorBlocks& vectors, const Query* queries, size_t count,
            PrefetchQueue& prefetch) {
  switch (count) {
    case 1:
      return ForAll<1>(vectors, queries, prefetch);
    case 2:
      return ForAll<2>(vectors, queries, prefetch);
    case 3:
      return ForAll<3>(vectors, queries, prefetch);
    default:
      return ForAll<4>(vectors, queries, prefetch);
  }
}

}  // namespace

void ScoreLists(const VectorBlocks& centroids, const ListQuery* queries,
                size_t count, PrefetchQueue& prefetch) {
  ForAny(centroids, queries, count, prefetch);
}

void Project(const VectorBlocks& vectors, const Projection* frames,
             size_t count) {
  PrefetchQueue none;
  ForAny(vectors, frames, count, none);
}

}  // namespace timbre::avx512vnni

#endif  // defined(__x86_64__)
