// Which index suits which voice: script/bench policy.
//
// For voices of 1 to 1,000,000 frames and each kind of index: what a frame
// costs at recall@8 0.95 (interpolated between measured points; queries are
// frames of another voice), what the build took, and what lies on the disk.
// doc/tuning.md draws the conclusions.
//
//   policy_bench [--json=FILE] [--max_frames=N] [--dimensions=256,768]
//   policy_bench --recipe    recall@8 of other voices beside that of the
//   queries
//                            that a build measures with
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "client/files/synth.h"
#include "server/base/cpu_quota.h"
#include "server/engine/frames/frame_writer.h"
#include "server/engine/tune/setting_meter.h"
#include "server/engine/tune/tuner.h"
#include "server/engine/tune/tuning_queries.h"
#include "tests/support/testing.h"

ABSL_FLAG(std::string, json, "", "where to keep the rows");
ABSL_FLAG(bool, recipe, false, "how good a build's own queries are");
ABSL_FLAG(uint64_t, max_frames, 1'000'000, "of a voice");
ABSL_FLAG(std::string, dimensions, "256,768", "of the frames");

namespace timbre {
namespace {

using testing::FrameMatrix;

constexpr float kTarget = 0.95F;
constexpr uint64_t kQueries = 1500;
constexpr uint64_t kMaxExact = 100'000;  // frames that Flat is tried with

template <typename T>
T OrFail(absl::StatusOr<T> value) {
  if (value.ok()) return *std::move(value);
  std::cerr << "policy_bench: " << value.status() << "\n";
  std::exit(1);
}

// What a frame costs at the target: between the points around it, or the
// cheapest if that suffices. NaN where no point reaches it.
double CostAtTarget(const Curve& curve) {
  for (size_t i = 0; i < curve.size(); ++i) {
    if (curve[i].recall < kTarget) continue;
    if (i == 0) return curve[0].microseconds_per_frame;
    const OperatingPoint& a = curve[i - 1];
    const OperatingPoint& b = curve[i];
    const double share = (kTarget - a.recall) / (b.recall - a.recall);
    return a.microseconds_per_frame +
           share * (b.microseconds_per_frame - a.microseconds_per_frame);
  }
  return std::nan("");
}

struct Row {
  std::string factory;
  std::string chosen_by_default;  // "*", or nothing
  Metric metric = Metric::kL2;
  uint64_t rows = 0;
  uint32_t dimension = 0;
  double cost = 0;  // microseconds a frame at the target
  OperatingPoint chosen;
  double build_seconds = 0;
  uint64_t bytes = 0;
};

class Policy {
 public:
  Policy(const FrameMatrix& frames, const FrameMatrix& queries)
      : frames_(frames), queries_(queries) {}

  Row Try(const std::string& factory, Metric metric) {
    const testing::TempDir directory;
    testing::NullObserver observer;
    const int threads = AvailableCpus();
    const auto start = std::chrono::steady_clock::now();
    const BuildResult built = OrFail(testing::BuildFrames(
        directory.path(), frames_,
        {.metric = metric, .factory = factory, .threads = threads}));
    const std::chrono::duration<double> took =
        std::chrono::steady_clock::now() - start;
    const auto index = OrFail(testing::OpenBuilt(
        directory.path(), built, frames_.columns, metric, BestKernels()));
    // One thread: two of one core would slow each other.
    BuildTeam team(1, observer);
    const Measured measured =
        OrFail(MeasureCurve(*index, {queries_.data, {}}, {}, team));
    Row row{.factory = ToString(built.spec),
            .chosen_by_default =
                built.spec == ChooseIndexSpec(frames_.rows, frames_.columns)
                    ? "*"
                    : "",
            .metric = metric,
            .rows = frames_.rows,
            .dimension = frames_.columns,
            .cost = CostAtTarget(measured.curve),
            .chosen = ChoosePoint(measured.curve, kTarget),
            .build_seconds = took.count(),
            .bytes = 0};
    for (const char* const file :
         {testing::kBuiltFrames, testing::kBuiltIndex}) {
      row.bytes += std::filesystem::file_size(directory.File(file));
    }
    return row;
  }

 private:
  const FrameMatrix& frames_;
  const FrameMatrix& queries_;
};

// The kinds of index that could suit a voice of this size.
std::vector<std::string> Candidates(uint64_t rows, uint32_t dimension) {
  std::vector<std::string> candidates;
  if (rows <= kMaxExact) candidates.emplace_back("Flat");
  if (rows < 1000) return candidates;
  const auto lists = [&](double factor) {
    return absl::StrCat(
        "IVF", std::lround(factor * std::sqrt(static_cast<double>(rows))));
  };
  const auto codes = [&](uint32_t width) {
    return absl::StrCat(",PQ", dimension / width, "x4fs,RFlat");
  };
  for (const double factor : {1, 2, 4, 8, 16}) {
    candidates.push_back(lists(factor) + codes(2));
  }
  candidates.push_back(lists(4) + codes(4));
  candidates.push_back(lists(4) + ",PQ" + absl::StrCat(dimension) +
                       "x4fs,RFlat");
  candidates.push_back(lists(4) + ",Flat");
  candidates.push_back(lists(16) + ",Flat");
  return candidates;
}

void Print(const Row& row) {
  std::cout
      << absl::StrFormat(
             "| %s%s | %s | %d x %d | %.1f | %d, %g | %.3f | %.2f | %.1f |\n",
             row.factory, row.chosen_by_default,
             std::string(MetricName(row.metric)), row.rows, row.dimension,
             row.cost, row.chosen.nprobe, row.chosen.k_factor,
             row.chosen.recall, row.build_seconds,
             static_cast<double>(row.bytes) / (1 << 20))
      << std::flush;
}

nlohmann::json ToJson(const Row& row) {
  return {{"factory", row.factory},
          {"default", !row.chosen_by_default.empty()},
          {"metric", std::string(MetricName(row.metric))},
          {"n", row.rows},
          {"dimension", row.dimension},
          {"us_at_0.95", row.cost},
          {"nprobe", row.chosen.nprobe},
          {"k_factor", row.chosen.k_factor},
          {"recall", row.chosen.recall},
          {"build_s", row.build_seconds},
          {"bytes", row.bytes}};
}

FrameMatrix FirstRows(const FrameMatrix& all, uint64_t rows) {
  FrameMatrix some{.data = {}, .rows = rows, .columns = all.columns};
  some.data.assign(
      all.data.begin(),
      all.data.begin() + static_cast<std::ptrdiff_t>(rows * all.columns));
  return some;
}

nlohmann::json RunDimension(uint32_t dimension) {
  nlohmann::json rows = nlohmann::json::array();
  const uint64_t most = absl::GetFlag(FLAGS_max_frames);
  const FrameMatrix all = testing::Speech(most, dimension, 1);
  const FrameMatrix queries = testing::Speech(kQueries, dimension, 2);
  const auto run = [&](Policy& policy, const std::string& factory,
                       Metric metric) {
    const Row row = policy.Try(factory, metric);
    Print(row);
    rows.push_back(ToJson(row));
  };
  for (const uint64_t n :
       {1, 39, 1000, 4000, 10'000, 30'000, 100'000, 300'000, 1'000'000}) {
    if (n > most) break;
    const FrameMatrix frames = FirstRows(all, n);
    Policy policy(frames, queries);
    for (const std::string& factory : Candidates(n, dimension)) {
      run(policy, factory, Metric::kL2);
    }
    if (n != 100'000) continue;
    for (const Metric metric : {Metric::kInnerProduct, Metric::kCosine}) {
      for (const char* const lists : {"IVF632", "IVF1265", "IVF2530"}) {
        run(policy, absl::StrCat(lists, ",PQ", dimension / 2, "x4fs,RFlat"),
            metric);
      }
    }
  }
  return rows;
}

double RecallOf(const SpeakerIndex& index, const TuningQueries& queries,
                uint32_t nprobe) {
  testing::NullObserver observer;
  BuildTeam team(1, observer);
  SettingMeter meter(index, queries, kMeasuredK, team);
  const absl::Status found = meter.FindTruth();
  if (!found.ok()) OrFail<int>(found);
  return OrFail(meter.Measure({.nprobe = nprobe, .k_factor = 4})).recall;
}

int RunRecipe() {
  constexpr uint32_t kDimension = 256;
  constexpr size_t kOwn = 4000;
  std::cout << "| frames | nprobe | other voices | like another voice | held "
               "out |\n| --- | --- | --- | --- | --- |\n";
  for (const uint64_t n : {3000, 30'000, 100'000}) {
    const testing::TempDir directory;
    const BuildResult built = OrFail(testing::BuildFrames(
        directory.path(), testing::Speech(n, kDimension, 1),
        {.threads = AvailableCpus()}));
    const auto index = OrFail(testing::OpenBuilt(
        directory.path(), built, kDimension, Metric::kL2, BestKernels()));
    const OwnQueries own = MakeOwnQueries(index->store(), 1, kOwn);
    const std::span<const float> frames(own.frames);
    const size_t held_out = kOwn / 4;
    const TuningQueries first{
        frames.first(held_out * kDimension),
        std::span<const int64_t>(own.own).first(held_out)};
    const TuningQueries others{frames.subspan(held_out * kDimension), {}};
    for (const uint32_t nprobe : {1, 4, 8, 16}) {
      std::string recalls;
      for (const uint64_t voice : {2, 3, 4}) {
        const FrameMatrix queries =
            testing::Speech(kQueries, kDimension, voice);
        absl::StrAppendFormat(&recalls, "%.3f ",
                              RecallOf(*index, {queries.data, {}}, nprobe));
      }
      std::cout << absl::StrFormat("| %d | %d | %s| %.3f | %.3f |\n", n, nprobe,
                                   recalls, RecallOf(*index, others, nprobe),
                                   RecallOf(*index, first, nprobe))
                << std::flush;
    }
  }
  return 0;
}

int Main() {
  if (absl::GetFlag(FLAGS_recipe)) return RunRecipe();
  std::cout
      << "| index (* default) | metric | frames x d | us a frame at recall "
         "0.95 | nprobe, k_factor | recall | build, s | MB |\n"
         "| --- | --- | --- | --- | --- | --- | --- | --- |\n";
  nlohmann::json rows = nlohmann::json::array();
  for (const auto text : absl::StrSplit(absl::GetFlag(FLAGS_dimensions), ',')) {
    uint32_t dimension = 0;
    if (!absl::SimpleAtoi(text, &dimension)) {
      std::cerr << "policy_bench: --dimensions " << text << " is no number\n";
      return 2;
    }
    for (auto& row : RunDimension(dimension)) rows.push_back(std::move(row));
  }
  const std::string path = absl::GetFlag(FLAGS_json);
  if (!path.empty()) std::ofstream(path) << rows.dump(1) << "\n";
  return 0;
}

}  // namespace
}  // namespace timbre

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  return timbre::Main();
}
