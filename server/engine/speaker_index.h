// One version of one voice, ready to be searched.
//
//   query -> CoarseQuantizer (lists) -> CodeScanner (candidates)
//         -> ExactScorer (distances) -> TopK -> ids and distances
//
// Indices without codes skip the scanner, those without lists the quantizer.
#ifndef TIMBRE_SERVER_ENGINE_SPEAKER_INDEX_H_
#define TIMBRE_SERVER_ENGINE_SPEAKER_INDEX_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/engine/coarse_quantizer.h"
#include "server/engine/code_scanner.h"
#include "server/engine/exact_scorer.h"
#include "server/engine/frame_store.h"
#include "server/engine/index_spec.h"
#include "server/engine/ivf_parts.h"
#include "server/engine/metric.h"
#include "server/engine/top_k.h"

namespace timbre {

// What must be known of a version to open its files.
struct IndexDescription {
  IndexSpec spec;
  Metric metric = Metric::kL2;
  ElementType storage = ElementType::kFloat32;
  uint64_t rows = 0;
  uint32_t dimension = 0;
  std::string frames_path;   // total_fea.npy
  std::string index_path;    // added.index; not read for IndexKind::kFlat
  std::string index_digest;  // of the index file
};

// What a search does; Resolve in service/ makes it from SearchParams.
struct SearchSettings {
  uint32_t k = 8;            // neighbours returned, >= 1
  uint32_t nprobe = 1;       // lists visited, 1..nlist; ignored without lists
  uint32_t candidates = 32;  // re-ranked exactly, >= k; ignored without codes
};

// Working memory of one thread. Grows to what the largest search needs and is
// reused: searches do not allocate.
struct SearchScratch {
  TopK lists;
  TopK candidates;
  TopK nearest;
  CodeScratch codes;
  std::vector<float> query;  // [dimension], normalised
  std::vector<float> row;    // [2 * dimension]
};

// Immutable and thread-safe; each thread brings its own scratch. The
// destructor frees the lists and unmaps the frames, which may take
// milliseconds: catalog/ sees to it that no search thread has to.
class SpeakerIndex {
 public:
  // Maps the frames, reads and verifies the index file. DATA_LOSS if a file
  // is missing, damaged, or not what the description says.
  static absl::StatusOr<std::unique_ptr<SpeakerIndex>> Open(
      const IndexDescription& description, const KernelTable& kernels);

  uint64_t rows() const { return store_.rows(); }
  uint32_t dimension() const { return store_.dimension(); }
  Metric metric() const { return metric_; }
  const IndexSpec& spec() const { return spec_; }
  const FrameStore& store() const { return store_; }
  const KernelTable& kernels() const { return kernels_; }
  // Null for IndexKind::kFlat.
  const IvfParts* parts() const { return parts_.get(); }
  // Memory besides the mapped frames.
  size_t resident_bytes() const;

  // Finds the neighbours of `frames` ([rows, dimension], finite).
  //   ids        [rows, k], nearest first, ties by id; -1 where fewer exist
  //   distances  [rows, k], squared L2 or inner product as faiss returns them;
  //              FLT_MAX or -FLT_MAX where the id is -1
  // A frame's answer depends on nothing but the frame and the settings.
  // DATA_LOSS if the mapped frames could not be read: the results are void.
  absl::Status Search(const float* frames, size_t rows,
                      const SearchSettings& settings, SearchScratch& scratch,
                      int64_t* ids, float* distances) const;

 private:
  SpeakerIndex(const IndexDescription& description, FrameStore store,
               std::unique_ptr<const IvfParts> parts,
               const KernelTable& kernels);

  void SearchFrame(const float* frame, const SearchSettings& settings,
                   SearchScratch& scratch, int64_t* ids,
                   float* distances) const;
  const float* PrepareQuery(const float* frame, SearchScratch& scratch) const;
  void ScoreAll(const float* query, SearchScratch& scratch) const;
  void ScoreLists(const float* query, uint32_t nprobe,
                  SearchScratch& scratch) const;
  void ScoreCandidates(const float* query, const SearchSettings& settings,
                       SearchScratch& scratch) const;
  void Push(const float* query, uint32_t id, SearchScratch& scratch) const;

  const IndexSpec spec_;
  const Metric metric_;
  const KernelTable& kernels_;
  const FrameStore store_;
  const std::unique_ptr<const IvfParts> parts_;
  const ExactScorer scorer_;
  std::optional<CoarseQuantizer> coarse_;  // const after construction
  std::optional<CodeScanner> scanner_;     // const after construction
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_SPEAKER_INDEX_H_
