// Frames to measure an index with.
#ifndef TIMBRE_SERVER_ENGINE_TUNE_TUNING_QUERIES_H_
#define TIMBRE_SERVER_ENGINE_TUNE_TUNING_QUERIES_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "server/engine/frames/frame_store.h"

namespace timbre {

// Frames to measure with.
struct TuningQueries {
  std::span<const float> frames;  // [rows, dimension], rows >= 1
  // own[i]: the row that frame i is, which does not count as its neighbour; -1
  // if it is none. Empty: none of them is. Those that are come first.
  std::span<const int64_t> own;
};

// Queries that a voice's own frames make.
struct OwnQueries {
  std::vector<float> frames;
  std::vector<int64_t> own;
};

// The first quarter are frames of the voice, held out: they are not found
// themselves. The others are like those of another voice, x + (a - b) / 2 with
// x, a and b frames drawn at random: as far from the voice as another voice's
// frames are, in directions in which voices differ; in voices below 4,096
// frames, which have few of each phone, 0.6 x + 0.4 a. On synthetic speech
// their recall is that of other voices within 0.02 (doc/tuning.md). The same
// for the same seed.
OwnQueries MakeOwnQueries(const FrameStore& store, uint64_t seed, size_t count);

// How many of them a build measures with: as many as a tenth of its time
// allows, 256 to 384.
size_t OwnQueryCount(uint64_t rows);

// How many frames a curve at `k` is measured with at most: 10,000, which make a
// recall known within 0.002; fewer where k is above 200, whose tables are
// large.
size_t MostMeasured(uint32_t k);

// The frames of `store`, [rows, dimension]; of more than `most` as many, evenly
// spread.
std::vector<float> EvenlySpread(const FrameStore& store, size_t most);

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_TUNE_TUNING_QUERIES_H_
