#include "server/kernels/avx512vnni/avx512vnni.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "server/kernels/avx512/score_block.h"

namespace timbre::avx512vnni {
namespace {

constexpr size_t kGroupBytes = kCentroidsPerBlock * kDimensionsPerGroup;

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

// kBlocks blocks x kFrames frames in registers: every load of 64 centroids
// serves all frames, every broadcast of a frame all centroids. 4 x 4 is what 32
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

template <size_t kBlocks, size_t kFrames>
TIMBRE_AVX512_VNNI inline void ScoreTile(const CentroidBlocks& centroids,
                                         size_t block, const ListQuery* queries,
                                         PrefetchQueue& prefetch) {
  const size_t block_bytes = centroids.groups * kGroupBytes;
  const uint8_t* const values = centroids.values + block * block_bytes;
  const int8_t* frames[kFrames];
  for (size_t q = 0; q < kFrames; ++q) frames[q] = queries[q].frame;
  Tile<kBlocks, kFrames> tile = {};
  for (size_t g = 0; g < centroids.groups; g += kStep) {
    AddGroups(values, block_bytes, frames, g,
              std::min(g + kStep, centroids.groups), tile);
    for (size_t i = 0; i < kLinesPerStep && !prefetch.empty(); ++i) {
      prefetch.IssueLine();
    }
  }
#pragma GCC unroll 4
  for (size_t q = 0; q < kFrames; ++q) {
#pragma GCC unroll 4
    for (size_t b = 0; b < kBlocks; ++b) {
      avx512::WriteScores(centroids, block + b, tile.dots[q][b], queries[q]);
    }
  }
}

template <size_t kFrames>
TIMBRE_AVX512_VNNI void ScoreAll(const CentroidBlocks& centroids,
                                 const ListQuery* queries,
                                 PrefetchQueue& prefetch) {
  size_t block = 0;
  for (; block + 4 <= centroids.blocks; block += 4) {
    ScoreTile<4, kFrames>(centroids, block, queries, prefetch);
  }
  for (; block < centroids.blocks; ++block) {
    ScoreTile<1, kFrames>(centroids, block, queries, prefetch);
  }
}

}  // namespace

void ScoreLists(const CentroidBlocks& centroids, const ListQuery* queries,
                size_t count, PrefetchQueue& prefetch) {
  switch (count) {
    case 1:
      return ScoreAll<1>(centroids, queries, prefetch);
    case 2:
      return ScoreAll<2>(centroids, queries, prefetch);
    case 3:
      return ScoreAll<3>(centroids, queries, prefetch);
    default:
      return ScoreAll<4>(centroids, queries, prefetch);
  }
}

}  // namespace timbre::avx512vnni

#endif  // defined(__x86_64__)
