// What gives way so that a message keeps its latency_budget.
//
// Before every piece of a message: if what is left of it for each thread that
// works on it, at what a frame costs here, takes longer than what is left of
// the budget, nprobe is halved until it does not, then k_factor; at last Blend
// passes frames through. Nothing is raised again within a message: what is
// reported is the least that was used.
#ifndef TIMBRE_SERVER_SERVICE_LIVE_LATENCY_BUDGET_H_
#define TIMBRE_SERVER_SERVICE_LIVE_LATENCY_BUDGET_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "server/engine/lists/index_spec.h"
#include "server/engine/search/speaker_index.h"
#include "server/service/contract/search_params.h"
#include "timbre/v1/retrieval.pb.h"

namespace timbre {

// What the cost of a frame depends on.
struct IndexShape {
  IndexKind kind = IndexKind::kIvfPq;
  uint64_t rows = 0;
  uint32_t nlist = 1;
  uint32_t dimension = 256;
};

// A rough time per frame on one core: right in its proportions (list scores,
// codes, exact distances); FrameCost corrects its scale.
absl::Duration EstimateFrame(const IndexShape& shape,
                             const SearchSettings& settings);

// What a frame costs on this stream, learned from its pieces. Not thread-safe.
class FrameCost {
 public:
  absl::Duration Of(const IndexShape& shape,
                    const SearchSettings& settings) const {
    return EstimateFrame(shape, settings) * scale_;
  }
  void Learn(const IndexShape& shape, const SearchSettings& settings,
             uint64_t frames, absl::Duration took);
  // Frames were passed through, so nothing was learned: believes a little less
  // in what was, until they are searched again.
  void Relax();

 private:
  double scale_ = 1;
};

// One message and its budget. Not thread-safe.
class LatencyBudget {
 public:
  // `search` has the budget, or none: then nothing ever gives way. `deadline`
  // is when the answer is due.
  LatencyBudget(const ResolvedSearch& search, const IndexShape& shape,
                absl::Time deadline, bool may_pass_through)
      : settings_(search.settings),
        effective_(search.effective),
        shape_(shape),
        deadline_(search.has_budget ? deadline : absl::InfiniteFuture()),
        may_pass_through_(may_pass_through) {}

  // How to search the next frames, when `frames` are left for this thread;
  // nullopt: pass them through.
  std::optional<SearchSettings> Next(uint64_t frames, const FrameCost& cost,
                                     absl::Time now);

  const IndexShape& shape() const { return shape_; }
  v1::Degradation degradation() const { return degradation_; }
  const SearchSettings& settings() const { return settings_; }
  // The least that was used.
  const EffectiveSearch& effective() const { return effective_; }

 private:
  bool StepDown();

  SearchSettings settings_;
  EffectiveSearch effective_;
  const IndexShape shape_;
  const absl::Time deadline_;
  const bool may_pass_through_;
  v1::Degradation degradation_ = v1::DEGRADATION_UNSPECIFIED;
};

// Which nprobe a message is counted under.
size_t LabelOf(const ResolvedSearch& search, const LatencyBudget& budget);

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_LIVE_LATENCY_BUDGET_H_
