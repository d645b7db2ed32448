#include "client/load/scenario.h"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cpp/address.h"
#include "client/files/synth.h"
#include "client/load/arrivals.h"
#include "client/load/run.h"
#include "server/base/errors.h"
#include "server/base/mutex.h"
#include "server/base/status_macros.h"
#include "server/base/thread_priority.h"

namespace timbre::load {
namespace {

constexpr double kEnough = 0.99;  // of what is offered
constexpr uint32_t kOfflineFrames = 1000;
constexpr uint64_t kBuildSeed = 7000;

double OwnCpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) +
           1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Measures phases against one server.
class Bench {
 public:
  Bench(const std::string& scenario, const ScenarioOptions& options,
        ThreadPriority priority = ThreadPriority::kUrgent)
      : options_(options),
        priority_(priority),
        client_(options.server, options.timeout) {
    report_.scenario = scenario;
  }

  absl::Status Prepare() {
    if (!options_.metrics.empty()) {
      TIMBRE_RETURN_IF_ERROR(
          client::ParseHostPort("--metrics", options_.metrics).status());
    }
    TIMBRE_ASSIGN_OR_RETURN(const v1::ServerInfo info, client_.GetServerInfo());
    report_.server_version = info.version();
    report_.simd_level = info.simd_level();
    TIMBRE_ASSIGN_OR_RETURN(
        voices_, PrepareVoices(client_, options_.voices, options_.say));
    metrics_ = options_.metrics;
    if (!metrics_.empty()) return ReadMetrics(metrics_).status();
    TIMBRE_ASSIGN_OR_RETURN(metrics_, FindMetrics(client_, options_.server));
    if (!metrics_.empty() && !ReadMetrics(metrics_).ok()) metrics_.clear();
    return absl::OkStatus();
  }

  // The group with a voice for every stream, of the first `count` voices.
  Group WithVoices(Group group, size_t count) const {
    const auto chosen = ZipfVoices(group.streams, static_cast<uint32_t>(count),
                                   options_.zipf, options_.seed);
    for (const uint32_t voice : chosen) {
      group.voices.push_back(voices_.voices[voice]);
    }
    return group;
  }

  // Has the server open the voice.
  absl::Status Open(size_t voice) {
    const client::FrameMatrix none{{}, 0, voices_.dimension};
    return client_.Blend(voices_.voices[voice], {}, none).status();
  }

  // So that loading is no part of what is measured.
  absl::Status Warm(size_t count) {
    for (size_t i = 0; i < count; ++i) TIMBRE_RETURN_IF_ERROR(Open(i));
    return absl::OkStatus();
  }

  absl::Status Measure(const std::string& name,
                       const std::vector<Group>& groups) {
    options_.say(absl::StrCat("measuring ", name));
    Scrape before;
    Scrape after;
    double cpu_before = 0;
    double cpu_after = 0;
    const RunOptions run{.server = options_.server,
                         .timeout = options_.timeout,
                         .connections = options_.connections,
                         .dimension = voices_.dimension,
                         .warm_up = options_.warm_up,
                         .duration = options_.duration,
                         .seed = options_.seed,
                         .priority = priority_,
                         .on_begin =
                             [&] {
                               before = ScrapeOrNothing();
                               cpu_before = OwnCpuSeconds();
                             },
                         .on_end =
                             [&] {
                               after = ScrapeOrNothing();
                               cpu_after = OwnCpuSeconds();
                             }};
    Phase phase{.name = name};
    TIMBRE_ASSIGN_OR_RETURN(phase.groups, Run(run, groups));
    const std::chrono::duration<double> seconds = options_.duration;
    phase.generator_cores = (cpu_after - cpu_before) / seconds.count();
    if (!after.empty()) {
      phase.server = Summary(before, after, seconds.count());
    }
    report_.phases.push_back(std::move(phase));
    return CheckAnswers(report_.phases.back());
  }

  client::Client& client() { return client_; }
  const Voices& voices() const { return voices_; }
  Report& report() { return report_; }

 private:
  Scrape ScrapeOrNothing() const {
    if (metrics_.empty()) return {};
    const auto scrape = ReadMetrics(metrics_);
    return scrape.ok() ? *scrape : Scrape();
  }

  static ServerSide Summary(const Scrape& before, const Scrape& after,
                            double seconds) {
    const auto value = [](const Scrape& scrape, const char* name) {
      const auto it = scrape.find(name);
      return it == scrape.end() ? 0 : it->second;
    };
    constexpr char kCpu[] = "process_cpu_seconds_total";
    return {.cpu_cores = (value(after, kCpu) - value(before, kCpu)) / seconds,
            .resident_bytes = value(after, "process_resident_memory_bytes"),
            .blend = Between(before, after, "timbre_blend_duration_seconds"),
            .search = Between(before, after, "timbre_search_duration_seconds")};
  }

  static absl::Status CheckAnswers(const Phase& phase) {
    for (const GroupResult& group : phase.groups) {
      if (group.wrong == 0) continue;
      return MakeError(
          absl::StatusCode::kDataLoss, "ANSWERS_DIFFER",
          absl::StrCat(group.name, ": ", group.wrong, " of ", group.checked,
                       " answers are not those of a second "
                       "search of the same frames"));
    }
    return absl::OkStatus();
  }

  const ScenarioOptions& options_;
  const ThreadPriority priority_;
  client::Client client_;
  std::string metrics_;
  Voices voices_;
  Report report_;
};

bool Holds(const GroupResult& group, std::chrono::nanoseconds objective) {
  const std::chrono::duration<double, std::milli> limit = objective;
  const auto answered = static_cast<double>(group.answered.size());
  return group.failures() == 0 &&
         answered >= kEnough * group.offered_per_second * group.seconds &&
         Summarize(SortedLatencies(group)).p99 <= limit.count();
}

// Builds and opens voices until it goes: the other half of `mixed`.
class Disturbance {
 public:
  Disturbance(Bench& bench, const ScenarioOptions& options, size_t first_cold)
      : bench_(bench),
        options_(options),
        // Made beforehand: that takes more time than sending them.
        frames_(client::FeatureSynth(kBuildSeed, bench.voices().dimension)
                    .Next(options.build_frames)) {
    threads_.emplace_back([this] { Build(); });
    threads_.emplace_back([this, first_cold] { Open(first_cold); });
  }

  // Also removes what was built. What was done; the first error, if there was
  // one: it ended all of this.
  absl::StatusOr<std::string> Stop() {
    stop_.store(true);
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    const MutexLock lock(mutex_);
    if (builds_ > 0) {
      const absl::Status removed = bench_.client().DeleteSpeaker(kBuilt);
      if (!absl::IsNotFound(removed)) error_.Update(removed);
    }
    TIMBRE_RETURN_IF_ERROR(error_);
    return absl::StrFormat(
        "meanwhile %d builds of %d frames (the last one may have ended later), "
        "%d voices opened",
        builds_, options_.build_frames, opened_);
  }

 private:
  static constexpr char kBuilt[] = "load-build";

  // Whether to go on.
  bool Count(const absl::Status& status, int& done) {
    if (status.ok()) {
      ++done;
    } else {
      const MutexLock lock(mutex_);
      error_.Update(status);
      stop_.store(true);
    }
    return !stop_.load();
  }

  // Elsewhere in reality, both of them: what is measured does not wait for it.
  void Build() {
    SetThreadPriority(ThreadPriority::kDeferred);
    while (Count(BuildVoice(bench_.client(), kBuilt, frames_), builds_)) {
    }
  }

  void Open(size_t first_cold) {
    SetThreadPriority(ThreadPriority::kDeferred);
    const size_t voices = bench_.voices().voices.size();
    const auto pause =
        (options_.warm_up + options_.duration) / (voices - first_cold + 1);
    for (size_t i = first_cold; i < voices && !stop_.load(); ++i) {
      std::this_thread::sleep_for(pause);
      Count(bench_.Open(i), opened_);
    }
  }

  Bench& bench_;
  const ScenarioOptions& options_;
  const client::FrameMatrix frames_;
  std::atomic<bool> stop_{false};
  int builds_ = 0;  // of its thread
  int opened_ = 0;  // of its thread
  Mutex mutex_;
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace

absl::StatusOr<Report> RunSingle(const std::string& name,
                                 const ScenarioOptions& options) {
  Bench bench(name, options);
  TIMBRE_RETURN_IF_ERROR(bench.Prepare());
  const size_t voices = bench.voices().voices.size();
  TIMBRE_RETURN_IF_ERROR(bench.Warm(voices));
  TIMBRE_RETURN_IF_ERROR(
      bench.Measure(name, {bench.WithVoices(options.group, voices)}));
  return std::move(bench.report());
}

absl::StatusOr<Report> RunMixed(const ScenarioOptions& options) {
  // Builds take every CPU of the server. What measures beside them would wait
  // for its own turn, and clients elsewhere do not.
  Bench bench("mixed", options, ThreadPriority::kForemost);
  TIMBRE_RETURN_IF_ERROR(bench.Prepare());
  const size_t voices = bench.voices().voices.size();
  if (options.cold_voices >= voices) {
    return InvalidField("--cold_voices", absl::StrCat(options.cold_voices),
                        absl::StrCat("less than the ", voices, " voices"));
  }
  const size_t warm = voices - options.cold_voices;
  TIMBRE_RETURN_IF_ERROR(bench.Warm(warm));
  const Group live = bench.WithVoices(options.group, warm);
  TIMBRE_RETURN_IF_ERROR(bench.Measure("quiet", {live}));
  Group offline = options.group;
  offline.name = "offline";
  offline.streams = options.offline_streams;
  offline.frames = kOfflineFrames;
  offline.period = std::chrono::nanoseconds(0);
  offline.late_after = std::chrono::nanoseconds(0);
  std::vector<Group> groups = {live};
  if (offline.streams > 0) groups.push_back(bench.WithVoices(offline, warm));
  Disturbance disturbance(bench, options, warm);
  const absl::Status measured = bench.Measure("mixed", groups);
  const absl::StatusOr<std::string> done = disturbance.Stop();
  TIMBRE_RETURN_IF_ERROR(measured);
  TIMBRE_RETURN_IF_ERROR(done.status());
  bench.report().phases.back().notes = {
      *done, MayBeForemost()
                 ? "the generator's threads run at nice -10"
                 : "the generator may not run at nice -10, and waits for its "
                   "turn beside builds on the same machine"};
  return std::move(bench.report());
}

absl::StatusOr<Report> RunStep(const ScenarioOptions& options) {
  Bench bench("step", options);
  TIMBRE_RETURN_IF_ERROR(bench.Prepare());
  const size_t voices = bench.voices().voices.size();
  TIMBRE_RETURN_IF_ERROR(bench.Warm(voices));
  Group group = options.group;
  bench.report().capacity = 0;
  while (true) {
    TIMBRE_RETURN_IF_ERROR(
        bench.Measure(absl::StrCat(group.streams, " streams"),
                      {bench.WithVoices(group, voices)}));
    const GroupResult& result = bench.report().phases.back().groups.front();
    if (!Holds(result, options.objective)) return std::move(bench.report());
    bench.report().capacity = group.streams;
    const double next = group.streams * options.step;
    group.streams =
        std::max(group.streams + 1, static_cast<uint32_t>(std::lround(next)));
  }
}

}  // namespace timbre::load
