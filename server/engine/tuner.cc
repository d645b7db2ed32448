#include "server/engine/tuner.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "server/base/status_macros.h"
#include "server/base/thread_time.h"
#include "server/engine/blender.h"
#include "server/engine/exact_neighbors.h"

namespace timbre {
namespace {

constexpr size_t kBatch = 64;  // frames that are timed together
constexpr float kMaxKFactor = 64;
// Codes that are scanned while one candidate is fetched and ranked.
constexpr double kCodesPerCandidate = 16;
// Beyond that, or the target, nothing more is looked for, once nprobe is this.
constexpr float kAlmostAll = 0.995F;
constexpr uint32_t kLeastLists = 8;
constexpr int kCloserLooks = 2;
// So many steps that each find less than this are enough.
constexpr float kWorthwhile = 0.0005F;
constexpr int kMostInVain = 3;

// The sums that one thread, or one batch, adds to.
struct Tally {
  double found = 0;
  double wanted = 0;
  double error = 0;
  double frames_with_error = 0;

  void Add(const Tally& other) {
    found += other.found;
    wanted += other.wanted;
    error += other.error;
    frames_with_error += other.frames_with_error;
  }
};

struct Worker {
  SearchScratch search;
  BlendScratch blend;
  std::vector<int64_t> ids;
  std::vector<float> distances;
  std::vector<float> approximate;  // [kBatch, dimension]
  std::vector<float> exact;        // the same
};

// Takes `own` out of the `k` neighbours of each frame; the last goes where it
// was not among them. [rows, k] becomes [rows, k - 1].
void LeaveOut(std::span<const int64_t> own, uint32_t k, int64_t* ids,
              float* distances) {
  for (size_t i = 0; i < own.size(); ++i) {
    const size_t from = i * k;
    const size_t to = i * (k - 1);
    size_t kept = 0;
    for (size_t j = 0; j < k && kept + 1 < k; ++j) {
      if (ids[from + j] >= 0 && ids[from + j] == own[i]) continue;
      ids[to + kept] = ids[from + j];
      distances[to + kept++] = distances[from + j];
    }
  }
}

class Tuner {
 public:
  Tuner(const SpeakerIndex& index, const TuningQueries& queries,
        const TuningGoal& goal, BuildTeam& team)
      : index_(index),
        n_(index.dimension()),
        rows_(queries.frames.size() / n_),
        queries_(queries),
        goal_(goal),
        team_(team),
        // One more where a frame may find itself.
        fetched_(goal.k + (queries.own.empty() ? 0 : 1)),
        workers_(team.threads()) {}

  absl::StatusOr<Measured> Run() {
    if (index_.spec().kind == IndexKind::kFlat) return MeasureFlat();
    team_.Enter(BuildStage::kTuning, 0, 0.5);
    TIMBRE_ASSIGN_OR_RETURN(
        exact_, ExactNeighbors(index_, queries_.frames, fetched_, team_));
    if (!queries_.own.empty()) {
      LeaveOut(queries_.own, fetched_, exact_.ids.data(),
               exact_.distances.data());
    }
    team_.Enter(BuildStage::kTuning, 0.5, 1);
    TIMBRE_RETURN_IF_ERROR(Measure({}).status());  // warms up
    TIMBRE_RETURN_IF_ERROR(Climb());
    TIMBRE_RETURN_IF_ERROR(LookCloser());
    Measured measured{.curve = Smoothed(curve_), .exact = {}, .one_list = {}};
    measured.exact = {.nprobe = 0,
                      .k_factor = 0,
                      .microseconds_per_frame = static_cast<float>(
                          1e6 * exact_.seconds / static_cast<double>(rows_))};
    TIMBRE_ASSIGN_OR_RETURN(measured.one_list,
                            Measure({.k_factor = 0}, LongestList()));
    return measured;
  }

 private:
  // A small k needs a larger one for as many candidates.
  float most_k_factor() const {
    return kMaxKFactor * std::max(1.0F, static_cast<float>(kMeasuredK) /
                                            static_cast<float>(goal_.k));
  }
  // Exact by itself: a batch tells what a frame costs.
  absl::StatusOr<Measured> MeasureFlat() {
    Worker& worker = workers_.front();
    const size_t count = std::min(kBatch, rows_);
    const float* const frames = queries_.frames.data();
    worker.ids.resize(count * goal_.k);
    worker.distances.resize(count * goal_.k);
    const double start = ThreadSeconds();
    TIMBRE_RETURN_IF_ERROR(index_.Search(frames, count, {.k = goal_.k},
                                         worker.search, worker.ids.data(),
                                         worker.distances.data()));
    BlendInto(frames, count, worker.ids.data(), worker.distances.data(),
              worker.blend, worker.approximate);
    const OperatingPoint point{
        .microseconds_per_frame = static_cast<float>(
            1e6 * (ThreadSeconds() - start) / static_cast<double>(count))};
    OperatingPoint exact = point;
    exact.nprobe = 0;
    exact.k_factor = 0;
    TIMBRE_RETURN_IF_ERROR(team_.Check());
    return Measured{.curve = {point}, .exact = exact, .one_list = {}};
  }

  uint32_t LongestList() const {
    const std::vector<uint32_t>& begins = index_.parts()->list_begin;
    uint32_t longest = 0;
    for (size_t i = 1; i < begins.size(); ++i) {
      longest = std::max(longest, begins[i] - begins[i - 1]);
    }
    return longest;
  }

  bool coded() const { return index_.spec().kind == IndexKind::kIvfPq; }

  // From the cheapest setting upwards by whichever step finds more for the work
  // that it adds: twice the lists, or twice the candidates.
  absl::Status Climb() {
    OperatingPoint here;
    int vain = 0;  // steps
    TIMBRE_ASSIGN_OR_RETURN(here, Measure({}));
    while (true) {
      curve_.push_back(here);
      const float enough = std::max(kAlmostAll, goal_.target_recall);
      if (here.recall >= enough && here.nprobe >= kLeastLists) break;
      TIMBRE_ASSIGN_OR_RETURN(const Steps steps, MeasureSteps(here));
      if (steps.empty()) break;
      const OperatingPoint next = *std::max_element(
          steps.begin(), steps.end(), [&](const auto& a, const auto& b) {
            return Worth(here, a) < Worth(here, b);
          });
      // Where nothing finds more, as with codes that tell nothing apart.
      vain = next.recall - here.recall < kWorthwhile ? vain + 1 : 0;
      if (vain == kMostInVain) break;
      here = next;
    }
    return absl::OkStatus();
  }

  using Steps = std::vector<OperatingPoint>;

  absl::StatusOr<Steps> MeasureSteps(const OperatingPoint& from) {
    Steps steps;
    const uint32_t nlist = index_.spec().nlist;
    if (from.nprobe < nlist) {
      OperatingPoint wider = from;
      wider.nprobe = std::min(2 * from.nprobe, nlist);
      TIMBRE_ASSIGN_OR_RETURN(wider, Measure(wider));
      steps.push_back(wider);
    }
    if (coded() && from.k_factor < most_k_factor()) {
      OperatingPoint deeper = from;
      deeper.k_factor = 2 * from.k_factor;
      TIMBRE_ASSIGN_OR_RETURN(deeper, Measure(deeper));
      steps.push_back(deeper);
    }
    return steps;
  }

  // What a step finds for the codes that it adds. Counted, not timed: the same
  // frames make the same curve.
  double Worth(const OperatingPoint& from, const OperatingPoint& to) const {
    const double found = double{to.recall} - from.recall;
    return found / (WorkOf(to) - WorkOf(from));
  }
  double WorkOf(const OperatingPoint& point) const {
    const double list =
        static_cast<double>(index_.rows()) / index_.spec().nlist;
    return point.nprobe * list +
           kCodesPerCandidate * SettingsOf(point, goal_.k).candidates;
  }

  // Between the point that reaches the target and the one before it.
  absl::Status LookCloser() {
    for (int i = 0; i < kCloserLooks; ++i) {
      const auto reached = std::find_if(
          curve_.begin(), curve_.end(), [this](const OperatingPoint& point) {
            return point.recall >= goal_.target_recall;
          });
      if (reached == curve_.end() || reached == curve_.begin()) break;
      OperatingPoint between = *reached;
      const OperatingPoint& before = *(reached - 1);
      between.nprobe = (before.nprobe + reached->nprobe) / 2;
      if (between.nprobe == before.nprobe) break;
      TIMBRE_ASSIGN_OR_RETURN(between, Measure(between));
      curve_.insert(reached, between);
    }
    return absl::OkStatus();
  }

  // `point` with what its settings find and cost; `candidates` instead of what
  // its k_factor says.
  absl::StatusOr<OperatingPoint> Measure(OperatingPoint point,
                                         uint32_t candidates = 0) {
    SearchSettings settings = SettingsOf(point, goal_.k);
    if (candidates > 0) settings.candidates = std::max(candidates, goal_.k);
    const size_t batches = (rows_ + kBatch - 1) / kBatch;
    std::vector<Tally> tallies(batches);
    std::vector<double> seconds(batches);
    std::vector<absl::Status> failed(workers_.size());
    TIMBRE_RETURN_IF_ERROR(team_.ForEach(batches, [&](size_t i, size_t worker) {
      failed[worker].Update(MeasureBatch(i * kBatch, settings, workers_[worker],
                                         tallies[i], seconds[i]));
    }));
    for (const absl::Status& status : failed) TIMBRE_RETURN_IF_ERROR(status);
    Tally all;
    for (const Tally& tally : tallies) all.Add(tally);
    // In the order of the batches, whoever measured them.
    point.recall =
        all.wanted > 0 ? static_cast<float>(all.found / all.wanted) : 1;
    point.blend_error =
        all.frames_with_error > 0
            ? static_cast<float>(all.error / all.frames_with_error)
            : 0;
    const auto middle =
        seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2);
    std::nth_element(seconds.begin(), middle, seconds.end());
    point.microseconds_per_frame = static_cast<float>(1e6 * *middle);
    return point;
  }

  // seconds: of a frame of the batch.
  absl::Status MeasureBatch(size_t first, SearchSettings settings,
                            Worker& worker, Tally& tally, double& seconds) {
    const size_t count = std::min(kBatch, rows_ - first);
    const float* const frames = &queries_.frames[first * n_];
    // One more where a frame may find itself.
    const bool own = !queries_.own.empty() && queries_.own[first] >= 0;
    if (own) {
      ++settings.k;
      ++settings.candidates;
    }
    worker.ids.resize(count * settings.k);
    worker.distances.resize(count * settings.k);
    const double start = ThreadSeconds();
    TIMBRE_RETURN_IF_ERROR(index_.Search(frames, count, settings, worker.search,
                                         worker.ids.data(),
                                         worker.distances.data()));
    if (own) {
      LeaveOut(queries_.own.subspan(first, count), settings.k,
               worker.ids.data(), worker.distances.data());
    }
    BlendInto(frames, count, worker.ids.data(), worker.distances.data(),
              worker.blend, worker.approximate);
    seconds = (ThreadSeconds() - start) / static_cast<double>(count);
    BlendInto(frames, count, &exact_.ids[first * goal_.k],
              &exact_.distances[first * goal_.k], worker.blend, worker.exact);
    for (size_t i = 0; i < count; ++i) {
      CountFound(first + i, &worker.distances[i * goal_.k],
                 &worker.ids[i * goal_.k], tally);
      AddError(&worker.approximate[i * n_], &worker.exact[i * n_], tally);
    }
    return absl::OkStatus();
  }

  void BlendInto(const float* frames, size_t count, const int64_t* ids,
                 const float* distances, BlendScratch& scratch,
                 std::vector<float>& out) const {
    out.resize(kBatch * n_);
    const std::vector<float> rates(count, 1.0F);
    BlendTotals totals;
    Blend(index_, frames, count,
          {.k = goal_.k, .ids = ids, .distances = distances}, rates.data(), {},
          scratch, out.data(), totals);
  }

  void CountFound(size_t frame, const float* distances, const int64_t* ids,
                  Tally& tally) const {
    const int64_t* const true_ids = &exact_.ids[frame * goal_.k];
    const auto wanted = std::find(true_ids, true_ids + goal_.k, -1) - true_ids;
    if (wanted == 0) return;
    const float last =
        exact_.distances[frame * goal_.k + static_cast<size_t>(wanted) - 1];
    // Equal rows have equal distances, to the last bit.
    int64_t found = 0;
    for (size_t j = 0; j < goal_.k; ++j) {
      if (ids[j] < 0) break;
      found += index_.metric() == Metric::kL2 ? distances[j] <= last
                                              : distances[j] >= last;
    }
    tally.wanted += static_cast<double>(wanted);
    tally.found += static_cast<double>(std::min<int64_t>(found, wanted));
  }

  void AddError(const float* approximate, const float* exact,
                Tally& tally) const {
    const KernelTable& kernels = index_.kernels();
    const double norm = kernels.dot(exact, exact, n_);
    const double difference = kernels.squared_l2(approximate, exact, n_);
    if (norm == 0) return;
    tally.error += std::sqrt(difference / norm);
    ++tally.frames_with_error;
  }

  const SpeakerIndex& index_;
  const size_t n_;
  const size_t rows_;
  const TuningQueries& queries_;
  const TuningGoal& goal_;
  BuildTeam& team_;
  const uint32_t fetched_;  // neighbours that are asked for
  std::vector<Worker> workers_;
  NeighborTable exact_;  // [rows, k]
  Curve curve_;
};

}  // namespace

SearchSettings SettingsOf(const OperatingPoint& point, uint32_t k) {
  // In float, as faiss's IndexRefine does.
  const auto candidates =
      static_cast<uint32_t>(static_cast<float>(k) * point.k_factor);
  return {.k = k, .nprobe = point.nprobe, .candidates = candidates};
}

absl::StatusOr<Measured> MeasureCurve(const SpeakerIndex& index,
                                      const TuningQueries& queries,
                                      const TuningGoal& goal, BuildTeam& team) {
  return Tuner(index, queries, goal, team).Run();
}

}  // namespace timbre
