// Exact distances between a query and stored frames, in every metric.
#ifndef TIMBRE_SERVER_ENGINE_FRAMES_EXACT_SCORER_H_
#define TIMBRE_SERVER_ENGINE_FRAMES_EXACT_SCORER_H_

#include <cstdint>
#include <vector>

#include "server/engine/frames/frame_store.h"
#include "server/engine/frames/metric.h"
#include "server/kernels/kernels.h"

namespace timbre {

// Writes frame / max(kNormEpsilon, |frame|) to `out`; n numbers.
void Normalize(const float* frame, size_t n, const KernelTable& kernels,
               float* out);

// Immutable and thread-safe. Refers to `store`, which must outlive it.
class ExactScorer {
 public:
  // With `round_to_half` rows count as their values rounded to float16.
  ExactScorer(const FrameStore& store, Metric metric, bool round_to_half,
              const KernelTable& kernels)
      : store_(store),
        metric_(metric),
        rounds_(round_to_half &&
                (metric == Metric::kCosine ||
                 store.element_type() == ElementType::kFloat32)),
        kernels_(kernels) {}

  // scores[i] = the score of row ids[i], i < count, smaller is nearer: squared
  // L2 or minus the inner product. `query` is normalised for kCosine. Before
  // each row one of `prefetch` is asked for. `row` is working memory of
  // 2 * dimension floats.
  void Score(const float* query, const uint32_t* ids, size_t count,
             PrefetchQueue& prefetch, float* row, float* scores) const;

 private:
  float ScoreCosine(const float* query, uint32_t id, float* row) const;
  float ScoreRounded(const float* query, uint32_t id, float* row) const;

  const FrameStore& store_;
  const Metric metric_;
  const bool rounds_;
  const KernelTable& kernels_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_FRAMES_EXACT_SCORER_H_
