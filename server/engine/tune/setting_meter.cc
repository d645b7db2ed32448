#include "server/engine/tune/setting_meter.h"

#include <algorithm>
#include <cmath>

#include "server/base/status_macros.h"
#include "server/base/thread_time.h"

namespace timbre {
namespace {

constexpr size_t kBatch = 64;  // frames that are timed together

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

}  // namespace

SearchSettings SettingsOf(const OperatingPoint& point, uint32_t k) {
  return {.k = k,
          .nprobe = point.nprobe,
          .candidates = CandidatesOf(k, point.k_factor)};
}

// The sums that one thread, or one batch, adds to.
struct SettingMeter::Tally {
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

SettingMeter::SettingMeter(const SpeakerIndex& index,
                           const TuningQueries& queries, uint32_t k,
                           BuildTeam& team)
    : index_(index),
      n_(index.dimension()),
      rows_(queries.frames.size() / n_),
      queries_(queries),
      k_(k),
      team_(team),
      workers_(team.threads()) {}

absl::Status SettingMeter::FindTruth() {
  // One more where a frame may find itself.
  const uint32_t fetched = k_ + (queries_.own.empty() ? 0 : 1);
  TIMBRE_ASSIGN_OR_RETURN(
      exact_, ExactNeighbors(index_, queries_.frames, fetched, team_));
  if (!queries_.own.empty()) {
    LeaveOut(queries_.own, fetched, exact_.ids.data(), exact_.distances.data());
  }
  return absl::OkStatus();
}

OperatingPoint SettingMeter::Exact() const {
  return {.nprobe = 0,
          .k_factor = 0,
          .microseconds_per_frame = static_cast<float>(
              1e6 * exact_.seconds / static_cast<double>(rows_))};
}

absl::StatusOr<OperatingPoint> SettingMeter::MeasureFlat() {
  Worker& worker = workers_.front();
  const size_t count = std::min(kBatch, rows_);
  const float* const frames = queries_.frames.data();
  worker.ids.resize(count * k_);
  worker.distances.resize(count * k_);
  const double start = ThreadSeconds();
  TIMBRE_RETURN_IF_ERROR(index_.Search(frames, count, {.k = k_}, worker.search,
                                       worker.ids.data(),
                                       worker.distances.data()));
  BlendInto(frames, count, worker.ids.data(), worker.distances.data(),
            worker.blend, worker.approximate);
  const double seconds = ThreadSeconds() - start;
  TIMBRE_RETURN_IF_ERROR(team_.Check());
  return OperatingPoint{.microseconds_per_frame = static_cast<float>(
                            1e6 * seconds / static_cast<double>(count))};
}

absl::StatusOr<OperatingPoint> SettingMeter::Measure(OperatingPoint point,
                                                     uint32_t candidates) {
  SearchSettings settings = SettingsOf(point, k_);
  if (candidates > 0) settings.candidates = std::max(candidates, k_);
  const size_t batches = (rows_ + kBatch - 1) / kBatch;
  std::vector<Tally> tallies(batches);
  std::vector<double> seconds(batches);
  std::vector<absl::Status> failed(workers_.size());
  TIMBRE_RETURN_IF_ERROR(team_.ForRanges(
      rows_, kBatch, [&](size_t first, size_t count, size_t worker) {
        failed[worker].Update(
            MeasureBatch(first, count, settings, workers_[worker],
                         tallies[first / kBatch], seconds[first / kBatch]));
      }));
  for (const absl::Status& status : failed) TIMBRE_RETURN_IF_ERROR(status);
  Tally all;
  // In the order of the batches, whoever measured them.
  for (const Tally& tally : tallies) all.Add(tally);
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

absl::Status SettingMeter::MeasureBatch(size_t first, size_t count,
                                        SearchSettings settings, Worker& worker,
                                        Tally& tally, double& seconds) {
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
    LeaveOut(queries_.own.subspan(first, count), settings.k, worker.ids.data(),
             worker.distances.data());
  }
  BlendInto(frames, count, worker.ids.data(), worker.distances.data(),
            worker.blend, worker.approximate);
  seconds = (ThreadSeconds() - start) / static_cast<double>(count);
  BlendInto(frames, count, &exact_.ids[first * k_],
            &exact_.distances[first * k_], worker.blend, worker.exact);
  for (size_t i = 0; i < count; ++i) {
    CountFound(first + i, &worker.distances[i * k_], &worker.ids[i * k_],
               tally);
    AddError(&worker.approximate[i * n_], &worker.exact[i * n_], tally);
  }
  return absl::OkStatus();
}

void SettingMeter::BlendInto(const float* frames, size_t count,
                             const int64_t* ids, const float* distances,
                             BlendScratch& scratch,
                             std::vector<float>& out) const {
  out.resize(kBatch * n_);
  const std::vector<float> rates(count, 1.0F);
  BlendTotals totals;
  Blend(index_, frames, count, {.k = k_, .ids = ids, .distances = distances},
        rates.data(), {}, scratch, out.data(), totals);
}

void SettingMeter::CountFound(size_t frame, const float* distances,
                              const int64_t* ids, Tally& tally) const {
  const int64_t* const true_ids = &exact_.ids[frame * k_];
  const auto wanted = std::find(true_ids, true_ids + k_, -1) - true_ids;
  if (wanted == 0) return;
  const float last =
      exact_.distances[frame * k_ + static_cast<size_t>(wanted) - 1];
  // Equal rows have equal distances, to the last bit.
  int64_t found = 0;
  for (size_t j = 0; j < k_; ++j) {
    if (ids[j] < 0) break;
    found += index_.metric() == Metric::kL2 ? distances[j] <= last
                                            : distances[j] >= last;
  }
  tally.wanted += static_cast<double>(wanted);
  tally.found += static_cast<double>(std::min<int64_t>(found, wanted));
}

void SettingMeter::AddError(const float* approximate, const float* exact,
                            Tally& tally) const {
  const KernelTable& kernels = index_.kernels();
  const double norm = kernels.dot(exact, exact, n_);
  const double difference = kernels.squared_l2(approximate, exact, n_);
  if (norm == 0) return;
  tally.error += std::sqrt(difference / norm);
  ++tally.frames_with_error;
}

}  // namespace timbre
