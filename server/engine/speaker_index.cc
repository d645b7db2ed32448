#include "server/engine/speaker_index.h"

#include <cfloat>
#include <utility>

#include "absl/memory/memory.h"
#include "server/base/status_macros.h"
#include "server/engine/faiss_load.h"

namespace timbre {

absl::StatusOr<std::unique_ptr<SpeakerIndex>> SpeakerIndex::Open(
    const IndexDescription& description, const KernelTable& kernels) {
  TIMBRE_ASSIGN_OR_RETURN(
      FrameStore store,
      FrameStore::Open(description.frames_path, description.storage,
                       description.rows, description.dimension, kernels));
  std::unique_ptr<const IvfParts> parts;
  if (description.spec.kind == IndexKind::kIvfPq) {
    TIMBRE_ASSIGN_OR_RETURN(parts, LoadCodedParts(description));
  } else if (description.spec.kind == IndexKind::kIvfFlat) {
    TIMBRE_ASSIGN_OR_RETURN(parts, LoadIvfFlatParts(description));
  }
  return absl::WrapUnique(new SpeakerIndex(description, std::move(store),
                                           std::move(parts), kernels));
}

SpeakerIndex::SpeakerIndex(const IndexDescription& description,
                           FrameStore store,
                           std::unique_ptr<const IvfParts> parts,
                           const KernelTable& kernels)
    : spec_(description.spec),
      metric_(description.metric),
      kernels_(kernels),
      store_(std::move(store)),
      parts_(std::move(parts)),
      scorer_(store_, metric_, description.spec.refine == RefineKind::kHalf,
              kernels) {
  if (parts_ == nullptr) return;
  coarse_.emplace(*parts_, metric_, kernels);
  if (parts_->pq_m > 0) scanner_.emplace(*parts_, metric_, kernels);
}

size_t SpeakerIndex::resident_bytes() const {
  size_t bytes = sizeof(*this);
  if (parts_ != nullptr) bytes += parts_->resident_bytes();
  if (coarse_) bytes += coarse_->resident_bytes();
  if (scanner_) bytes += scanner_->resident_bytes();
  return bytes;
}

absl::Status SpeakerIndex::Search(const float* frames, size_t rows,
                                  const SearchSettings& settings,
                                  SearchScratch& scratch, int64_t* ids,
                                  float* distances) const {
  scratch.row.resize(size_t{2} * dimension());
  for (size_t i = 0; i < rows; ++i) {
    SearchFrame(frames + i * dimension(), settings, scratch,
                ids + i * settings.k, distances + i * settings.k);
  }
  return store_.Check();
}

void SpeakerIndex::SearchFrame(const float* frame,
                               const SearchSettings& settings,
                               SearchScratch& scratch, int64_t* ids,
                               float* distances) const {
  const float* const query = PrepareQuery(frame, scratch);
  scratch.nearest.Reset(settings.k);
  if (scanner_) {
    ScoreCandidates(query, settings, scratch);
  } else if (coarse_) {
    ScoreLists(query, settings.nprobe, scratch);
  } else {
    ScoreAll(query, scratch);
  }
  const bool l2 = metric_ == Metric::kL2;
  size_t found = 0;
  for (const ScoredId key : scratch.nearest.Finish()) {
    ids[found] = IdOf(key);
    distances[found++] = l2 ? ScoreOf(key) : -ScoreOf(key);
  }
  for (; found < settings.k; ++found) {
    ids[found] = -1;
    distances[found] = l2 ? FLT_MAX : -FLT_MAX;
  }
}

const float* SpeakerIndex::PrepareQuery(const float* frame,
                                        SearchScratch& scratch) const {
  if (metric_ != Metric::kCosine) return frame;
  scratch.query.resize(dimension());
  Normalize(frame, dimension(), kernels_, scratch.query.data());
  return scratch.query.data();
}

void SpeakerIndex::Push(const float* query, uint32_t id,
                        SearchScratch& scratch) const {
  scratch.nearest.Push(
      MakeScoredId(scorer_.Score(query, id, scratch.row.data()), id));
}

void SpeakerIndex::ScoreAll(const float* query, SearchScratch& scratch) const {
  for (uint64_t id = 0; id < rows(); ++id) {
    Push(query, static_cast<uint32_t>(id), scratch);
  }
}

void SpeakerIndex::ScoreLists(const float* query, uint32_t nprobe,
                              SearchScratch& scratch) const {
  for (const ScoredId list : coarse_->Probe(query, nprobe, scratch.lists)) {
    for (const uint32_t id : parts_->List(IdOf(list))) Push(query, id, scratch);
  }
}

void SpeakerIndex::ScoreCandidates(const float* query,
                                   const SearchSettings& settings,
                                   SearchScratch& scratch) const {
  scanner_->Prepare(query, scratch.codes);
  scratch.candidates.Reset(settings.candidates);
  for (const ScoredId list :
       coarse_->Probe(query, settings.nprobe, scratch.lists)) {
    scanner_->Scan(IdOf(list), scratch.codes, scratch.candidates);
  }
  for (const ScoredId candidate : scratch.candidates.Finish()) {
    Push(query, IdOf(candidate), scratch);
  }
}

}  // namespace timbre
