// One version of one voice, ready to be searched.
//
//   frames -> CoarseQuantizer (lists) -> CodeScanner (candidates)
//          -> ExactScorer (distances) -> TopK -> ids and distances
//
// Indices without codes skip the scanner, those without lists the quantizer.
// Frames go through in tiles of four. While the lists of a tile are found, the
// candidates of the tile before are on their way from memory.
#ifndef TIMBRE_SERVER_ENGINE_SEARCH_SPEAKER_INDEX_H_
#define TIMBRE_SERVER_ENGINE_SEARCH_SPEAKER_INDEX_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "server/base/memory_region.h"
#include "server/engine/faiss/faiss_export.h"
#include "server/engine/frames/exact_scorer.h"
#include "server/engine/frames/frame_store.h"
#include "server/engine/frames/metric.h"
#include "server/engine/lists/coarse_quantizer.h"
#include "server/engine/lists/code_scanner.h"
#include "server/engine/lists/index_description.h"
#include "server/engine/lists/index_spec.h"
#include "server/engine/lists/ivf_parts.h"
#include "server/engine/lists/top_k.h"

namespace timbre {

// What a search does; Resolve in service/ makes it from SearchParams.
struct SearchSettings {
  uint32_t k = 8;            // neighbours returned, >= 1
  uint32_t nprobe = 1;       // lists visited, 1..nlist; ignored without lists
  uint32_t candidates = 32;  // re-ranked exactly, >= k; ignored without codes
};

// Frames that are searched side by side, and what is known of them so far.
struct TileScratch {
  size_t first = 0;  // of the frames of the call
  size_t count = 0;
  std::vector<float> unit;  // [kFramesPerTile, dimension], normalised
  std::array<const float*, kFramesPerTile> queries{};
  std::array<std::vector<uint32_t>, kFramesPerTile> lists;
  std::array<std::vector<uint32_t>, kFramesPerTile> candidates;
};

// Working memory of one thread. Grows to what the largest search needs and is
// reused: searches do not allocate.
struct SearchScratch {
  std::array<TileScratch, 2> tiles;
  CoarseScratch coarse;
  CodeScratch codes;
  std::array<TopK, kFramesPerTile> nearest;
  std::vector<const char*> rows;  // to prefetch
  // Rows that were fetched not long ago, by their ids: frames that follow one
  // another have half of their candidates in common.
  std::array<const char*, 512> fetched{};
  std::vector<float> row;        // [2 * dimension]
  std::vector<float> scores;     // of some rows
  std::vector<int64_t> ids;      // [kFramesPerTile, k]
  std::vector<float> distances;  // the same
};

// The neighbours of frames [first, first + count) of a search.
//   ids        [count, k], nearest first, ties by id; -1 where fewer exist
//   distances  [count, k], squared L2 or inner product as faiss returns them;
//              FLT_MAX or -FLT_MAX where the id is -1
struct FoundTile {
  size_t first = 0;
  size_t count = 0;
  const int64_t* ids = nullptr;
  const float* distances = nullptr;
};

// Immutable and thread-safe; each thread brings its own scratch. The
// destructor frees the lists and unmaps the frames, which may take
// milliseconds: catalog/ sees to it that no search thread has to.
class SpeakerIndex {
 public:
  // Maps the frames, reads and verifies the index file. DATA_LOSS if a file
  // is missing, damaged, or not what the description says; other errors of
  // file_error.h say nothing about the files.
  static absl::StatusOr<std::unique_ptr<SpeakerIndex>> Open(
      const IndexDescription& description, const KernelTable& kernels);

  uint64_t rows() const { return store_.rows(); }
  uint32_t dimension() const { return store_.dimension(); }
  Metric metric() const { return metric_; }
  const IndexSpec& spec() const { return spec_; }
  const FrameStore& store() const { return store_; }
  const KernelTable& kernels() const { return kernels_; }
  const ExactScorer& scorer() const { return scorer_; }
  // Null for IndexKind::kFlat.
  const IvfParts* parts() const { return parts_.get(); }
  // What its files in faiss's format are composed of.
  ExportInput export_input() const {
    return {store_, spec_, metric_, parts_.get(), kernels_};
  }
  // Memory besides the mapped frames.
  size_t resident_bytes() const;
  // At most that of an index, known before it is opened. A few percent more
  // than it will be. (While it opens, some more is needed: about four copies of
  // its centroids, and the codes of its longest list.)
  static size_t MostResidentBytes(const IndexDescription& description);
  // Mappings that it takes: its frames', and one for all the rest.
  static constexpr size_t kMaps = 2;

  // Finds the neighbours of `frames` ([rows, dimension], magnitudes up to
  // 1e15: squared distances must not overflow) and hands
  // them to `found`, a few frames at a time, in order, while the rows of these
  // neighbours are still in the CPU's caches. A frame's answer depends on
  // nothing but the frame and the settings. DATA_LOSS if the mapped frames
  // could not be read: the results are void.
  using FoundSink = absl::FunctionRef<void(const FoundTile&)>;
  absl::Status Search(const float* frames, size_t rows,
                      const SearchSettings& settings, SearchScratch& scratch,
                      FoundSink found) const;

  // The same into arrays [rows, k].
  absl::Status Search(const float* frames, size_t rows,
                      const SearchSettings& settings, SearchScratch& scratch,
                      int64_t* ids, float* distances) const;

 private:
  SpeakerIndex(const IndexDescription& description, FrameStore store,
               std::unique_ptr<MemoryRegion> memory,
               std::unique_ptr<const IvfParts> parts,
               const KernelTable& kernels);

  void StartTile(const float* frames, size_t first, size_t count,
                 TileScratch& tile) const;
  void PrefetchFrames(const float* frames, size_t first, size_t last) const;
  void FindCandidates(const SearchSettings& settings, PrefetchQueue& prefetch,
                      SearchScratch& scratch, TileScratch& tile) const;
  PrefetchQueue RowsOf(const TileScratch& tile, SearchScratch& scratch) const;
  void ScoreTile(const SearchSettings& settings, PrefetchQueue& prefetch,
                 SearchScratch& scratch, const TileScratch& tile,
                 FoundSink found) const;
  void ScoreAll(SearchScratch& scratch, const TileScratch& tile) const;
  void ScoreLists(SearchScratch& scratch, const TileScratch& tile) const;
  void ScoreRows(std::span<const uint32_t> ids, size_t i,
                 const TileScratch& tile, PrefetchQueue& prefetch,
                 SearchScratch& scratch) const;
  void Report(const SearchSettings& settings, SearchScratch& scratch,
              const TileScratch& tile, FoundSink found) const;

  const IndexSpec spec_;
  const Metric metric_;
  const KernelTable& kernels_;
  const FrameStore store_;
  // Where all below has its arrays; null for IndexKind::kFlat.
  const std::unique_ptr<MemoryRegion> memory_;
  const std::unique_ptr<const IvfParts> parts_;
  const ExactScorer scorer_;
  std::optional<CoarseQuantizer> coarse_;  // const after construction
  std::optional<CodeScanner> scanner_;     // const after construction
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_SEARCH_SPEAKER_INDEX_H_
