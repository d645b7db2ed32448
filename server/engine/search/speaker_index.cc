#include "server/engine/search/speaker_index.h"

#include <algorithm>
#include <cfloat>
#include <numeric>
#include <utility>

#include "absl/memory/memory.h"
#include "server/base/status_macros.h"
#include "server/engine/faiss/faiss_load.h"

namespace timbre {
namespace {

// Random rows that are fetched ahead of the one that is scored.
constexpr size_t kRowsAhead = 5;

// Of one frame's candidates.
constexpr size_t kRowsToPrefetch = 256;

// Lines that are asked for between two steps.
constexpr size_t kLinesAtOnce = 24;

// Rows that all frames of a tile are compared with before the next ones: they
// stay in the first-level cache.
constexpr size_t kRowsAtOnce = 16;

// Of an index, besides its arrays: itself, and what these round up to pages.
constexpr size_t kFixedBytes = 8 << 10;

// What arrays are apart to begin at cache lines.
constexpr size_t kGaps = 4096;

}  // namespace

absl::StatusOr<std::unique_ptr<SpeakerIndex>> SpeakerIndex::Open(
    const IndexDescription& description, const KernelTable& kernels) {
  TIMBRE_ASSIGN_OR_RETURN(
      FrameStore store,
      FrameStore::Open(description.frames_path, description.storage,
                       description.rows, description.dimension, kernels,
                       *description.files));
  std::unique_ptr<MemoryRegion> memory;
  if (description.spec.kind != IndexKind::kFlat) {
    memory =
        std::make_unique<MemoryRegion>(MostResidentBytes(description) + kGaps);
  }
  std::unique_ptr<const IvfParts> parts;
  if (description.spec.kind == IndexKind::kIvfPq) {
    TIMBRE_ASSIGN_OR_RETURN(parts,
                            LoadCodedParts(description, kernels, memory.get()));
  } else if (description.spec.kind == IndexKind::kIvfFlat) {
    TIMBRE_ASSIGN_OR_RETURN(parts, LoadIvfFlatParts(description, memory.get()));
  }
  return absl::WrapUnique(new SpeakerIndex(description, std::move(store),
                                           std::move(memory), std::move(parts),
                                           kernels));
}

SpeakerIndex::SpeakerIndex(const IndexDescription& description,
                           FrameStore store,
                           std::unique_ptr<MemoryRegion> memory,
                           std::unique_ptr<const IvfParts> parts,
                           const KernelTable& kernels)
    : spec_(description.spec),
      metric_(description.metric),
      kernels_(kernels),
      store_(std::move(store)),
      memory_(std::move(memory)),
      parts_(std::move(parts)),
      scorer_(store_, metric_, description.spec.refine == RefineKind::kHalf,
              kernels) {
  if (parts_ == nullptr) return;
  coarse_.emplace(*parts_, metric_, kernels, memory_.get());
  if (parts_->pq_m > 0) {
    scanner_.emplace(*parts_, metric_, kernels, memory_.get());
  }
}

size_t SpeakerIndex::resident_bytes() const {
  size_t bytes = kFixedBytes;
  if (parts_ != nullptr) bytes += parts_->resident_bytes();
  if (coarse_) bytes += coarse_->resident_bytes();
  if (scanner_) bytes += scanner_->resident_bytes();
  return bytes;
}

size_t SpeakerIndex::MostResidentBytes(const IndexDescription& description) {
  const IndexSpec& spec = description.spec;
  size_t bytes = kFixedBytes;
  if (spec.kind == IndexKind::kFlat) return bytes;
  bytes += IvfParts::MostResidentBytes(spec, description.rows,
                                       description.dimension);
  bytes +=
      CoarseQuantizer::MostResidentBytes(spec.nlist, description.dimension);
  if (spec.pq_m > 0) {
    bytes += CodeScanner::ResidentBytes(description.dimension, spec.pq_m);
  }
  return bytes;
}

absl::Status SpeakerIndex::Search(const float* frames, size_t rows,
                                  const SearchSettings& settings,
                                  SearchScratch& scratch, int64_t* ids,
                                  float* distances) const {
  const size_t k = settings.k;
  return Search(frames, rows, settings, scratch, [=](const FoundTile& tile) {
    std::copy_n(tile.ids, tile.count * k, ids + tile.first * k);
    std::copy_n(tile.distances, tile.count * k, distances + tile.first * k);
  });
}

absl::Status SpeakerIndex::Search(const float* frames, size_t rows,
                                  const SearchSettings& settings,
                                  SearchScratch& scratch,
                                  FoundSink found) const {
  scratch.row.resize(size_t{2} * dimension());
  const TileScratch* waiting = nullptr;  // its candidates are to be scored
  PrefetchQueue prefetch;                // of their rows
  for (size_t first = 0; first < rows; first += kFramesPerTile) {
    TileScratch& tile = scratch.tiles[first / kFramesPerTile % 2];
    StartTile(frames, first, std::min(kFramesPerTile, rows - first), tile);
    PrefetchFrames(frames, std::min(first + kFramesPerTile, rows),
                   std::min(first + 2 * kFramesPerTile, rows));
    FindCandidates(settings, prefetch, scratch, tile);
    if (waiting != nullptr) {
      ScoreTile(settings, prefetch, scratch, *waiting, found);
    }
    waiting = &tile;
    prefetch = RowsOf(tile, scratch);
  }
  if (waiting != nullptr) {
    // Nothing to find meanwhile: a few rows ahead of the scoring.
    for (size_t i = 0; i < kRowsAhead; ++i) prefetch.IssueRow();
    ScoreTile(settings, prefetch, scratch, *waiting, found);
  }
  return store_.Check();
}

void SpeakerIndex::StartTile(const float* frames, size_t first, size_t count,
                             TileScratch& tile) const {
  const size_t n = dimension();
  tile.first = first;
  tile.count = count;
  for (size_t i = 0; i < count; ++i) {
    tile.queries[i] = frames + (first + i) * n;
  }
  if (metric_ != Metric::kCosine) return;
  tile.unit.resize(kFramesPerTile * n);
  for (size_t i = 0; i < count; ++i) {
    Normalize(tile.queries[i], n, kernels_, &tile.unit[i * n]);
    tile.queries[i] = &tile.unit[i * n];
  }
}

// The next tile's frames: they come from a message, out of no near cache.
void SpeakerIndex::PrefetchFrames(const float* frames, size_t first,
                                  size_t last) const {
  const auto* const begin =
      reinterpret_cast<const char*>(frames + first * dimension());
  const auto* const end =
      reinterpret_cast<const char*>(frames + last * dimension());
  for (const char* line = begin; line < end; line += kCacheLineBytes) {
    __builtin_prefetch(line, 0, 2);
  }
}

void SpeakerIndex::FindCandidates(const SearchSettings& settings,
                                  PrefetchQueue& prefetch,
                                  SearchScratch& scratch,
                                  TileScratch& tile) const {
  if (!coarse_) return;
  coarse_->Probe(tile.queries.data(), tile.count, settings.nprobe, prefetch,
                 scratch.coarse, tile.lists.data());
  if (!scanner_) return;
  scanner_->Expect(tile.lists.data(), tile.count, scratch.codes);
  constexpr size_t kAtOnce = CodeScanner::kFramesAtOnce;
  for (size_t i = 0; i < tile.count; ++i) {
    if (i % kAtOnce == 0) {
      scanner_->Prepare(&tile.queries[i], std::min(kAtOnce, tile.count - i),
                        scratch.codes);
      prefetch.IssueLines(kLinesAtOnce);
    }
    prefetch.IssueLines(kLinesAtOnce);
    scanner_->Scan(i % kAtOnce, tile.lists[i], settings.candidates,
                   scratch.codes, tile.candidates[i]);
    prefetch.IssueLines(kLinesAtOnce);
  }
}

PrefetchQueue SpeakerIndex::RowsOf(const TileScratch& tile,
                                   SearchScratch& scratch) const {
  if (!scanner_) return {};
  scratch.rows.resize(kFramesPerTile * kRowsToPrefetch);
  size_t rows = 0;
  for (size_t i = 0; i < tile.count; ++i) {
    // More would push each other out of the cache before they are read.
    const size_t count = std::min(tile.candidates[i].size(), kRowsToPrefetch);
    for (size_t j = 0; j < count; ++j) {
      const uint32_t id = tile.candidates[i][j];
      const char* const row = store_.RawRow(id);
      const char*& fetched = scratch.fetched[id % scratch.fetched.size()];
      // Without a branch: half of them are new.
      scratch.rows[rows] = row;
      rows += fetched != row ? 1 : 0;
      fetched = row;
    }
  }
  return {scratch.rows.data(), rows, store_.row_bytes()};
}

void SpeakerIndex::ScoreTile(const SearchSettings& settings,
                             PrefetchQueue& prefetch, SearchScratch& scratch,
                             const TileScratch& tile, FoundSink found) const {
  for (size_t i = 0; i < tile.count; ++i) scratch.nearest[i].Reset(settings.k);
  if (scanner_) {
    for (size_t i = 0; i < tile.count; ++i) {
      ScoreRows(tile.candidates[i], i, tile, prefetch, scratch);
    }
  } else if (coarse_) {
    ScoreLists(scratch, tile);
  } else {
    ScoreAll(scratch, tile);
  }
  Report(settings, scratch, tile, found);
}

void SpeakerIndex::Report(const SearchSettings& settings,
                          SearchScratch& scratch, const TileScratch& tile,
                          FoundSink found) const {
  const bool l2 = metric_ == Metric::kL2;
  const size_t k = settings.k;
  scratch.ids.assign(tile.count * k, -1);
  scratch.distances.assign(tile.count * k, l2 ? FLT_MAX : -FLT_MAX);
  for (size_t i = 0; i < tile.count; ++i) {
    size_t place = i * k;
    for (const ScoredId key : scratch.nearest[i].Finish()) {
      scratch.ids[place] = IdOf(key);
      scratch.distances[place++] = l2 ? ScoreOf(key) : -ScoreOf(key);
    }
  }
  found({.first = tile.first,
         .count = tile.count,
         .ids = scratch.ids.data(),
         .distances = scratch.distances.data()});
}

// Scores rows of the index for frame `i` of the tile.
void SpeakerIndex::ScoreRows(std::span<const uint32_t> ids, size_t i,
                             const TileScratch& tile, PrefetchQueue& prefetch,
                             SearchScratch& scratch) const {
  scratch.scores.resize(std::max(scratch.scores.size(), ids.size()));
  scorer_.Score(tile.queries[i], ids.data(), ids.size(), prefetch,
                scratch.row.data(), scratch.scores.data());
  scratch.nearest[i].Push(scratch.scores.data(), ids, kernels_);
}

void SpeakerIndex::ScoreAll(SearchScratch& scratch,
                            const TileScratch& tile) const {
  PrefetchQueue none;
  std::array<uint32_t, kRowsAtOnce> ids;
  for (uint64_t first = 0; first < rows(); first += kRowsAtOnce) {
    const auto count = std::min<uint64_t>(kRowsAtOnce, rows() - first);
    std::iota(ids.begin(), ids.end(), static_cast<uint32_t>(first));
    for (size_t i = 0; i < tile.count; ++i) {
      ScoreRows({ids.data(), count}, i, tile, none, scratch);
    }
  }
}

void SpeakerIndex::ScoreLists(SearchScratch& scratch,
                              const TileScratch& tile) const {
  PrefetchQueue none;
  for (size_t i = 0; i < tile.count; ++i) {
    for (const uint32_t list : tile.lists[i]) {
      ScoreRows(parts_->List(list), i, tile, none, scratch);
    }
  }
}

}  // namespace timbre
