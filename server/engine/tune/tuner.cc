#include "server/engine/tune/tuner.h"

#include <algorithm>
#include <vector>

#include "server/base/status_macros.h"

namespace timbre {
namespace {

constexpr float kMaxKFactor = 64;
// Codes that are scanned while one candidate is fetched and ranked.
constexpr double kCodesPerCandidate = 16;
// Beyond that, or the target, nothing more is looked for, once nprobe is this.
constexpr float kAlmostAll = 0.995F;
constexpr uint32_t kMinLists = 8;
constexpr int kCloserLooks = 2;
// So many steps that each find less than this are enough.
constexpr float kWorthwhile = 0.0005F;
constexpr int kMaxInVain = 3;

class Tuner {
 public:
  Tuner(const SpeakerIndex& index, const TuningQueries& queries,
        const TuningGoal& goal, BuildTeam& team)
      : index_(index),
        goal_(goal),
        team_(team),
        meter_(index, queries, goal.k, team) {}

  absl::StatusOr<Measured> Run() {
    if (index_.spec().kind == IndexKind::kFlat) return RunFlat();
    team_.Enter(BuildStage::kTuning, 0, 0.5);
    TIMBRE_RETURN_IF_ERROR(meter_.FindTruth());
    team_.Enter(BuildStage::kTuning, 0.5, 1);
    TIMBRE_RETURN_IF_ERROR(meter_.Measure({}).status());  // warms up
    TIMBRE_RETURN_IF_ERROR(Climb());
    TIMBRE_RETURN_IF_ERROR(LookCloser());
    TIMBRE_ASSIGN_OR_RETURN(const OperatingPoint one_list,
                            meter_.Measure({.k_factor = 0}, LongestList()));
    return Measured{.curve = Smoothed(curve_),
                    .exact = meter_.Exact(),
                    .one_list = one_list};
  }

 private:
  absl::StatusOr<Measured> RunFlat() {
    team_.Enter(BuildStage::kTuning);
    TIMBRE_ASSIGN_OR_RETURN(const OperatingPoint point, meter_.MeasureFlat());
    OperatingPoint exact = point;
    exact.nprobe = 0;
    exact.k_factor = 0;
    return Measured{.curve = {point}, .exact = exact, .one_list = {}};
  }

  // A small k needs a larger one for as many candidates.
  float most_k_factor() const {
    return kMaxKFactor * std::max(1.0F, static_cast<float>(kMeasuredK) /
                                            static_cast<float>(goal_.k));
  }
  uint32_t LongestList() const {
    const AlignedVector<uint32_t>& begins = index_.parts()->list_begin;
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
    TIMBRE_ASSIGN_OR_RETURN(here, meter_.Measure({}));
    while (true) {
      curve_.push_back(here);
      const float enough = std::max(kAlmostAll, goal_.target_recall);
      if (here.recall >= enough && here.nprobe >= kMinLists) break;
      TIMBRE_ASSIGN_OR_RETURN(const Steps steps, MeasureSteps(here));
      if (steps.empty()) break;
      const OperatingPoint next = *std::max_element(
          steps.begin(), steps.end(), [&](const auto& a, const auto& b) {
            return Worth(here, a) < Worth(here, b);
          });
      // Where nothing finds more, as with codes that tell nothing apart.
      vain = next.recall - here.recall < kWorthwhile ? vain + 1 : 0;
      if (vain == kMaxInVain) break;
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
      TIMBRE_ASSIGN_OR_RETURN(wider, meter_.Measure(wider));
      steps.push_back(wider);
    }
    if (coded() && from.k_factor < most_k_factor()) {
      OperatingPoint deeper = from;
      deeper.k_factor = 2 * from.k_factor;
      TIMBRE_ASSIGN_OR_RETURN(deeper, meter_.Measure(deeper));
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
      TIMBRE_ASSIGN_OR_RETURN(between, meter_.Measure(between));
      curve_.insert(reached, between);
    }
    return absl::OkStatus();
  }

  const SpeakerIndex& index_;
  const TuningGoal& goal_;
  BuildTeam& team_;
  SettingMeter meter_;
  Curve curve_;
};

}  // namespace

absl::StatusOr<Measured> MeasureCurve(const SpeakerIndex& index,
                                      const TuningQueries& queries,
                                      const TuningGoal& goal, BuildTeam& team) {
  return Tuner(index, queries, goal, team).Run();
}

}  // namespace timbre
