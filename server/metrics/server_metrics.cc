#include "server/metrics/server_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/metrics/scraped_gauges.h"

namespace timbre {
namespace {

using Buckets = prometheus::Histogram::BucketBoundaries;

constexpr std::array<const char*, kRpcs> kRpcNames = {
    "Build",        "Search",          "Blend",         "ListSpeakers",
    "GetSpeaker",   "ActivateVersion", "DeleteVersion", "DeleteSpeaker",
    "ReadFrames",   "Export",          "Tune",          "Verify",
    "GetServerInfo"};
constexpr std::array<const char*, kStages> kStageNames = {"decode", "search",
                                                          "blend", "encode"};
constexpr std::array<const char*, kBuildStages> kBuildStageNames = {
    "receiving", "queued", "reducing",  "training",
    "adding",    "tuning", "publishing"};
constexpr std::array<const char*, kNprobeLabels> kNprobeNames = {
    "exact", "1", "2", "4", "8", "16", "32", "64", "128", "other"};
constexpr std::array<const char*, 3> kBuildResults = {"ok", "cancelled",
                                                      "failed"};

constexpr std::array<const char*, kConnectionFaults> kConnectionFaultNames = {
    "limit", "shortage", "silence", "bytes", "resets", "cpu"};

constexpr std::array<const char*, kOpenedFrom> kOpenedFromNames = {
    "open", "memory", "disk"};
constexpr std::array<const char*, kOpenResults> kOpenResultNames = {
    "ok", "no_room", "too_large", "damaged", "cancelled", "failed"};

// 1, 2.5, 5 in every decade from `first` to `last`.
Buckets Decades(double first, double last) {
  Buckets buckets;
  for (double decade = first; decade < last * 1.01; decade *= 10) {
    for (const double step : {1.0, 2.5, 5.0}) {
      if (decade * step <= last * 1.01) buckets.push_back(decade * step);
    }
  }
  return buckets;
}

// 50 us to 10 s; 0.5 us to 100 ms; 1 us to 10 s; 10 ms to 1,000 s.
Buckets MessageBuckets() {
  Buckets buckets = Decades(1e-5, 10);
  buckets.erase(buckets.begin(), buckets.begin() + 2);
  return buckets;
}
Buckets FrameBuckets() {
  Buckets buckets = Decades(1e-6, 0.1);
  buckets.insert(buckets.begin(), 5e-7);
  return buckets;
}
Buckets StageBuckets() { return Decades(1e-6, 10); }
Buckets BuildBuckets() { return Decades(1e-2, 1000); }

std::string CodeName(size_t code) {
  return absl::StatusCodeToString(static_cast<absl::StatusCode>(code));
}

}  // namespace

absl::string_view NameOf(ConnectionFault fault) {
  return kConnectionFaultNames[static_cast<size_t>(fault)];
}

size_t NprobeLabel(std::optional<uint32_t> nprobe) {
  if (!nprobe) return 0;
  size_t label = 1;
  for (uint32_t bound = 1; bound < *nprobe && label < kNprobeLabels - 1;
       bound *= 2) {
    ++label;
  }
  return label;
}

ServerMetrics::ServerMetrics(const BuildInfo& info)
    : registry_(std::make_shared<prometheus::Registry>()),
      process_(std::make_shared<ProcessGauges>()) {
  prometheus::BuildGauge()
      .Name("timbre_build_info")
      .Help("1; the labels say what is running.")
      .Register(*registry_)
      .Add({{"version", info.version},
            {"faiss_version", info.faiss_version},
            {"simd_level", info.simd_level}})
      .Set(1);
  AddCounters();
  AddMessageHistograms();
  AddBuildSeries();
  AddConnectionSeries();
  AddOpeningSeries();
}

ServerMetrics::~ServerMetrics() = default;

void ServerMetrics::AddCounters() {
  auto& requests = prometheus::BuildCounter()
                       .Name("timbre_requests_total")
                       .Help("Finished calls, by RPC and status.")
                       .Register(*registry_);
  auto& frames = prometheus::BuildCounter()
                     .Name("timbre_frames_total")
                     .Help("Frames received, by RPC.")
                     .Register(*registry_);
  auto& received = prometheus::BuildCounter()
                       .Name("timbre_received_bytes_total")
                       .Help("Bytes of request messages, by RPC.")
                       .Register(*registry_);
  auto& sent = prometheus::BuildCounter()
                   .Name("timbre_sent_bytes_total")
                   .Help("Bytes of response messages, by RPC.")
                   .Register(*registry_);
  auto& in_flight = prometheus::BuildGauge()
                        .Name("timbre_streams_in_flight")
                        .Help("Calls that are open now, by RPC.")
                        .Register(*registry_);
  for (size_t i = 0; i < kRpcs; ++i) {
    const std::string name = kRpcNames[i];
    rpcs_[i].frames = &frames.Add({{"rpc", name}});
    rpcs_[i].received_bytes = &received.Add({{"rpc", name}});
    rpcs_[i].sent_bytes = &sent.Add({{"rpc", name}});
    rpcs_[i].in_flight = &in_flight.Add({{"rpc", name}});
    for (size_t code = 0; code < kStatusCodes; ++code) {
      rpcs_[i].requests[code] =
          &requests.Add({{"rpc", name}, {"status", CodeName(code)}});
    }
  }
}

void ServerMetrics::AddMessageHistograms() {
  auto& frame = prometheus::BuildHistogram()
                    .Name("timbre_frame_duration_seconds")
                    .Help("Time per frame of one message, by RPC and nprobe.")
                    .Register(*registry_);
  auto& stage = prometheus::BuildHistogram()
                    .Name("timbre_stage_duration_seconds")
                    .Help("Where the time of one message goes.")
                    .Register(*registry_);
  auto& degraded =
      prometheus::BuildCounter()
          .Name("timbre_degraded_messages_total")
          .Help(
              "Messages answered with less than asked, to keep their "
              "latency_budget.")
          .Register(*registry_);
  for (const Rpc rpc : {Rpc::kSearch, Rpc::kBlend}) {
    PerRpc& series = rpcs_[static_cast<size_t>(rpc)];
    const std::string name = kRpcNames[static_cast<size_t>(rpc)];
    auto& message =
        prometheus::BuildHistogram()
            .Name(rpc == Rpc::kSearch ? "timbre_search_duration_seconds"
                                      : "timbre_blend_duration_seconds")
            .Help(
                "Time from receipt of one message to its answer, by the "
                "effective nprobe, rounded up.")
            .Register(*registry_);
    for (size_t i = 0; i < kNprobeLabels; ++i) {
      const std::string nprobe = kNprobeNames[i];
      series.message_duration[i] =
          &message.Add({{"nprobe", nprobe}}, MessageBuckets());
      series.frame_duration[i] =
          &frame.Add({{"rpc", name}, {"nprobe", nprobe}}, FrameBuckets());
    }
    series.reduced = &degraded.Add({{"rpc", name}, {"how", "reduced"}});
    series.passed_through =
        &degraded.Add({{"rpc", name}, {"how", "passed_through"}});
    for (size_t i = 0; i < kStages; ++i) {
      series.stage_duration[i] = &stage.Add(
          {{"rpc", name}, {"stage", kStageNames[i]}}, StageBuckets());
    }
  }
}

void ServerMetrics::AddBuildSeries() {
  auto& builds = prometheus::BuildCounter()
                     .Name("timbre_builds_total")
                     .Help("Builds that ended, by result.")
                     .Register(*registry_);
  for (size_t i = 0; i < kBuildResults.size(); ++i) {
    builds_[i] = &builds.Add({{"result", kBuildResults[i]}});
  }
  auto& stages = prometheus::BuildHistogram()
                     .Name("timbre_build_stage_duration_seconds")
                     .Help("Time that builds spent in a stage.")
                     .Register(*registry_);
  for (size_t i = 0; i < kBuildStages; ++i) {
    build_stages_[i] =
        &stages.Add({{"stage", kBuildStageNames[i]}}, BuildBuckets());
  }
}

void ServerMetrics::SetScrapedValues(std::function<ScrapedValues()> read) {
  gauges_ = std::make_shared<ScrapedGauges>(std::move(read));
}

std::vector<std::shared_ptr<prometheus::Collectable>>
ServerMetrics::Collectables() const {
  std::vector<std::shared_ptr<prometheus::Collectable>> all = {registry_,
                                                               process_};
  if (gauges_ != nullptr) all.push_back(gauges_);
  return all;
}

void ServerMetrics::ObserveMessage(Rpc rpc, size_t nprobe_label,
                                   uint64_t frames, absl::Duration duration) {
  PerRpc& series = rpcs_[static_cast<size_t>(rpc)];
  const double seconds = absl::ToDoubleSeconds(duration);
  series.message_duration[nprobe_label]->Observe(seconds);
  if (frames == 0) return;
  series.frame_duration[nprobe_label]->Observe(seconds /
                                               static_cast<double>(frames));
}

void ServerMetrics::ObserveStage(Rpc rpc, Stage stage,
                                 absl::Duration duration) {
  rpcs_[static_cast<size_t>(rpc)]
      .stage_duration[static_cast<size_t>(stage)]
      ->Observe(absl::ToDoubleSeconds(duration));
}

void ServerMetrics::CountDegraded(Rpc rpc, bool passed_through) {
  const PerRpc& series = rpcs_[static_cast<size_t>(rpc)];
  (passed_through ? series.passed_through : series.reduced)->Increment();
}

void ServerMetrics::AddBytes(Rpc rpc, uint64_t received, uint64_t sent) {
  PerRpc& series = rpcs_[static_cast<size_t>(rpc)];
  series.received_bytes->Increment(static_cast<double>(received));
  series.sent_bytes->Increment(static_cast<double>(sent));
}

void ServerMetrics::AddFrames(Rpc rpc, uint64_t frames) {
  rpcs_[static_cast<size_t>(rpc)].frames->Increment(
      static_cast<double>(frames));
}

void ServerMetrics::CallStarted(Rpc rpc) {
  rpcs_[static_cast<size_t>(rpc)].in_flight->Increment();
}

void ServerMetrics::CallFinished(Rpc rpc, absl::StatusCode code) {
  PerRpc& series = rpcs_[static_cast<size_t>(rpc)];
  series.in_flight->Decrement();
  series.requests[std::min(static_cast<size_t>(code), kStatusCodes - 1)]
      ->Increment();
}

void ServerMetrics::ObserveBuildStage(size_t stage, absl::Duration duration) {
  build_stages_[stage]->Observe(absl::ToDoubleSeconds(duration));
}

void ServerMetrics::CountBuild(absl::string_view result) {
  for (size_t i = 0; i < kBuildResults.size(); ++i) {
    if (result == kBuildResults[i]) builds_[i]->Increment();
  }
}

void ServerMetrics::AddConnectionSeries() {
  auto& family =
      prometheus::BuildCounter()
          .Name("timbre_connection_faults_total")
          .Help(
              "Connections refused beyond --max_connections (limit), that "
              "wait for descriptors or memory (shortage), or shut: no call "
              "made and no room left (silence), bytes that became no "
              "messages (bytes), calls taken back at once (resets), the "
              "polling thread kept busy without an event (cpu).")
          .Register(*registry_);
  for (size_t i = 0; i < kConnectionFaults; ++i) {
    connection_faults_[i] = &family.Add({{"reason", kConnectionFaultNames[i]}});
  }
}

void ServerMetrics::CountConnectionFault(ConnectionFault fault) {
  connection_faults_[static_cast<size_t>(fault)]->Increment();
}

void ServerMetrics::AddOpeningSeries() {
  auto& durations =
      prometheus::BuildHistogram()
          .Name("timbre_open_duration_seconds")
          .Help(
              "Time until a stream, or several that waited together, had its "
              "voices: open already, opened from memory (page cache) or from "
              "disk.")
          .Register(*registry_);
  auto& openings =
      prometheus::BuildCounter()
          .Name("timbre_opens_total")
          .Help("Openings of voices that were not open, by result.")
          .Register(*registry_);
  for (size_t i = 0; i < kOpenedFrom; ++i) {
    opening_durations_[i] =
        &durations.Add({{"from", kOpenedFromNames[i]}}, StageBuckets());
  }
  for (size_t i = 0; i < kOpenResults; ++i) {
    openings_[i] = &openings.Add({{"result", kOpenResultNames[i]}});
  }
}

void ServerMetrics::ObserveOpening(OpenedFrom from, absl::Duration duration) {
  opening_durations_[static_cast<size_t>(from)]->Observe(
      absl::ToDoubleSeconds(duration));
}

void ServerMetrics::CountOpening(size_t result) {
  openings_[result]->Increment();
}

}  // namespace timbre
