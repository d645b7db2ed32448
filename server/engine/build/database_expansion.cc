#include "server/engine/build/database_expansion.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/file_system.h"
#include "server/base/status_macros.h"
#include "server/engine/frames/frame_writer.h"
#include "server/engine/search/blender.h"
#include "server/engine/search/speaker_index.h"
#include "server/engine/train/build_team.h"
#include "server/engine/tune/tuner.h"

namespace timbre {
namespace {

constexpr float kRecall = 0.99F;
constexpr uint64_t kRowsAtOnce = 64;       // of an item of work
constexpr uint64_t kRowsPerWrite = 16384;  // held in memory

// A build within a build: whatever it does is one stage of the other.
class OneStage : public BuildObserver {
 public:
  explicit OneStage(BuildObserver& observer) : observer_(observer) {}
  void OnProgress(BuildStage, double) override {
    observer_.OnProgress(BuildStage::kReducing, 0.5);
  }
  bool cancelled() const override { return observer_.cancelled(); }
  double CpusNow(int most) const override { return observer_.CpusNow(most); }

 private:
  BuildObserver& observer_;
};

struct Worker {
  SearchScratch search;
  BlendScratch blend;
  std::vector<float> rows;
  std::vector<int64_t> ids;
  std::vector<float> distances;
  absl::Status status;
};

class Expansion {
 public:
  Expansion(const BuildPlan& plan, const SpeakerIndex& index,
            const Tuning& tuning, BuildTeam& team)
      : index_(index),
        k_(plan.database_expansion_k),
        alpha_(plan.database_expansion_alpha),
        // As many candidates for fewer neighbours than was measured with.
        settings_(
            SettingsOf({.nprobe = tuning.nprobe, .k_factor = tuning.k_factor},
                       std::max(k_, kMeasuredK))),
        team_(team),
        workers_(team.threads()) {
    settings_.k = k_;
  }

  absl::Status WriteTo(FrameWriter& writer) {
    const uint64_t rows = index_.rows();
    std::vector<float> expanded;
    for (uint64_t first = 0; first < rows; first += kRowsPerWrite) {
      const uint64_t count = std::min(kRowsPerWrite, rows - first);
      expanded.resize(count * index_.dimension());
      team_.Enter(BuildStage::kReducing,
                  0.5 + 0.5 * static_cast<double>(first) / rows,
                  0.5 + 0.5 * static_cast<double>(first + count) / rows);
      TIMBRE_RETURN_IF_ERROR(Expand(first, count, expanded.data()));
      TIMBRE_RETURN_IF_ERROR(writer.Append(expanded.data(), count));
    }
    return index_.store().Check();
  }

 private:
  absl::Status Expand(uint64_t first, uint64_t count, float* out) {
    TIMBRE_RETURN_IF_ERROR(team_.ForRanges(
        count, kRowsAtOnce, [&](size_t from, size_t rows, size_t worker) {
          workers_[worker].status.Update(
              ExpandSome(first + from, rows, workers_[worker],
                         out + from * index_.dimension()));
        }));
    for (const Worker& worker : workers_) {
      TIMBRE_RETURN_IF_ERROR(worker.status);
    }
    return absl::OkStatus();
  }

  absl::Status ExpandSome(uint64_t first, uint64_t count, Worker& worker,
                          float* out) const {
    const size_t n = index_.dimension();
    worker.rows.resize(count * n);
    for (uint64_t i = 0; i < count; ++i) {
      float* const row = &worker.rows[i * n];
      std::copy_n(index_.store().Row(first + i, row), n, row);
    }
    worker.ids.resize(count * k_);
    worker.distances.resize(count * k_);
    TIMBRE_RETURN_IF_ERROR(index_.Search(worker.rows.data(), count, settings_,
                                         worker.search, worker.ids.data(),
                                         worker.distances.data()));
    const std::vector<float> rates(count, 1.0F);
    BlendTotals totals;
    Blend(index_, worker.rows.data(), count,
          {.k = k_,
           .ids = worker.ids.data(),
           .distances = worker.distances.data()},
          rates.data(), {.weighting = Weighting::kCosinePower, .alpha = alpha_},
          worker.blend, out, totals);
    return absl::OkStatus();
  }

  const SpeakerIndex& index_;
  const uint32_t k_;
  const float alpha_;
  SearchSettings settings_;  // const after construction
  BuildTeam& team_;
  std::vector<Worker> workers_;
};

// Where the index lies that neighbours are found with.
BuildPlan PlanOfIndex(const BuildPlan& plan) {
  BuildPlan inner = plan;
  inner.work_directory = absl::StrCat(plan.work_directory, "/expansion");
  inner.frames_path = absl::StrCat(inner.work_directory, "/frames.npy");
  inner.index_path = absl::StrCat(inner.work_directory, "/index");
  inner.spec = std::nullopt;
  inner.storage = ElementType::kFloat32;  // the rows as they are
  inner.reduce_to_centroids = 0;
  inner.database_expansion_k = 0;
  inner.target_recall = kRecall;
  if (inner.metric == Metric::kInnerProduct) inner.metric = Metric::kCosine;
  return inner;
}

}  // namespace

absl::StatusOr<ExpandedFrames> ExpandFrames(const BuildPlan& plan,
                                            const KernelTable& kernels,
                                            BuildObserver& observer) {
  const BuildPlan inner = PlanOfIndex(plan);
  TIMBRE_RETURN_IF_ERROR(MakeDirectories(inner.work_directory, *plan.files));
  OneStage stage(observer);
  TIMBRE_ASSIGN_OR_RETURN(const BuildResult built,
                          BuildIndex(inner, kernels, stage));
  TIMBRE_ASSIGN_OR_RETURN(
      FrameWriter writer,
      FrameWriter::Create(absl::StrCat(plan.work_directory, "/expanded.npy"),
                          ElementType::kFloat32, plan.dimension,
                          plan.storage == ElementType::kFloat16, kernels,
                          *plan.files));
  {
    TIMBRE_ASSIGN_OR_RETURN(const auto index, OpenBuilt(inner, built, kernels));
    BuildTeam team(plan.threads, observer);
    TIMBRE_RETURN_IF_ERROR(
        Expansion(plan, *index, built.tuning, team).WriteTo(writer));
  }
  TIMBRE_RETURN_IF_ERROR(writer.Finish());
  TIMBRE_RETURN_IF_ERROR(RemoveTree(inner.work_directory, *plan.files));
  return ExpandedFrames{.path = writer.path(), .fits_half = writer.fits_half()};
}

}  // namespace timbre
