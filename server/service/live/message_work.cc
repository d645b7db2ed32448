#include "server/service/live/message_work.h"

#include <algorithm>
#include <memory>

#include "server/service/live/worker_scratch.h"

namespace timbre {

absl::Status MessageWork::Decode(const v1::Frames& frames, FrameBatch& batch) {
  const absl::Time start = MonotonicNow();
  absl::Status status =
      DecodeFrames(frames, pin_.version().index->dimension(), kernels(), batch);
  costs_.SawElements(batch.element_type);
  metrics().ObserveStage(rpc_, Stage::kDecode,
                         terms_.parsing_time + (MonotonicNow() - start));
  return status;
}

LatencyBudget MessageWork::BudgetOf(const ResolvedSearch& search,
                                    const LoadedVersion& version,
                                    bool may_pass_through) const {
  const IndexShape shape{.kind = version.record->spec.kind,
                         .rows = version.record->manifest.frames(),
                         .nlist = std::max(1U, version.record->spec.nlist),
                         .dimension = version.index->dimension()};
  return {search, shape, terms_.received + search.budget, may_pass_through};
}

absl::Status MessageWork::InPieces(uint64_t rows, LatencyBudget& budget,
                                   Pieces::Work work) {
  const absl::Time start = MonotonicNow();
  const auto pieces =
      std::make_shared<Pieces>(rows, budget, costs_.of_pieces(), work);
  do {
    if (call_.cancelled()) pieces->Stop(absl::CancelledError(""));
    if (!terms_.polling) pieces->Recruit(*context_.workers);
  } while (pieces->DoNext() && (LetOthersPass(), true));
  absl::Status status = pieces->Finish();
  time_in_pieces_ = pieces->spent();
  wall_time_in_pieces_ = MonotonicNow() - start;
  return status;
}

void MessageWork::LetOthersPass() {
  if (terms_.urgent || Interruption::UnderWay()) return;
  const Interruption interruption;
  context_.workers->RunUrgent();
}

}  // namespace timbre
