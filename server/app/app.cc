#include "server/app/app.h"

#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <random>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "server/app/grpc_options.h"
#include "server/app/log_hooks.h"
#include "server/app/version.h"
#include "server/base/cpu_quota.h"
#include "server/base/errors.h"
#include "server/base/memory_limit.h"
#include "server/base/monotonic_clock.h"
#include "server/base/status_macros.h"
#include "server/engine/faiss/faiss_format.h"
#include "server/service/live/worker_scratch.h"
#include "server/service/methods.h"
#include "server/service/rpc/rpc_handler.h"

namespace timbre {
namespace {

constexpr int kIoThreads = 4;
// After the last large message, until its memory is given back.
constexpr absl::Duration kLargePause = absl::Seconds(2);
// Mappings that are not of open voices: of threads, libraries, the allocator,
// downloads and builds.
constexpr uint64_t kOtherMappings = 16384;
constexpr int kPollers = 1;
constexpr absl::Duration kLastEvents = absl::Seconds(10);
constexpr absl::Duration kShutdownGrace = absl::Seconds(1);

MemoryBudget::Options BudgetOf(const Config& config) {
  const uint64_t maps = MaxMappings();
  return {.limit = {.bytes = config.max_resident_bytes,
                    .maps = std::max(maps / 2,
                                     maps - std::min(maps, kOtherMappings))},
          .close_idle_after = config.close_idle_after};
}

}  // namespace

absl::StatusOr<std::unique_ptr<App>> App::Start(const Config& config) {
  auto app = absl::WrapUnique(new App(config));
  TIMBRE_RETURN_IF_ERROR(app->Run());
  return app;
}

App::App(const Config& config)
    : config_(config), port_file_(config.port_file) {}

App::~App() {
  if (server_ != nullptr) Drain();
}

absl::Status App::Run() {
  SetLogLevel(config_.log_level);
  TakeLibraryLogs();
  TIMBRE_RETURN_IF_ERROR(port_file_.Check());
  TIMBRE_RETURN_IF_ERROR(ChooseKernels());
  TIMBRE_RETURN_IF_ERROR(OpenCatalog());
  StartMetrics();
  MakeOpener();
  MakeAcceptor();
  TIMBRE_RETURN_IF_ERROR(ExposeMetrics());
  StartPools();
  TIMBRE_RETURN_IF_ERROR(StartServer());
  StartScrubber();
  Log(LogLevel::kInfo, "serving",
      {{"version", kVersion},
       {"listen", config_.listen},
       {"grpc_port", grpc_port_},
       {"metrics_port", metrics_port_},
       {"data_dir", config_.data_dir},
       {"max_resident_bytes", config_.max_resident_bytes},
       {"simd_level", std::string(kernels_->name)},
       {"worker_threads", workers_->threads()}});
  return port_file_.Write(grpc_port_, metrics_port_);
}

void App::Drain() {
  if (server_ == nullptr) return;
  Log(LogLevel::kInfo, "draining",
      {{"timeout_seconds", absl::ToDoubleSeconds(config_.drain_timeout)}});
  const absl::Time deadline = absl::Now() + config_.drain_timeout;
  health_.SetAll(grpc::health::v1::HealthCheckResponse::NOT_SERVING);
  calls_->Drain(config_.drain_timeout, DrainingError());
  catalog_->EndComparisons();
  acceptor_->Stop();
  // Takes its time, so it goes beside what follows.
  std::thread endpoint_goes([this] { endpoint_.reset(); });
  // Clients that do not close their connections are cut off: none of them is
  // worth the rest of the timeout.
  server_->Shutdown(
      absl::ToChronoTime(std::min(deadline, absl::Now() + kShutdownGrace)));
  // Tasks may still start operations: the queues close after them.
  builders_->Stop();
  verifiers_->Stop();
  if (scrubber_ != nullptr) scrubber_->Stop();
  warmers_->Stop();
  io_->Stop();
  opener_->Stop();
  workers_->Stop();
  // The last events of calls that were cut off may start operations too.
  calls_->WaitUntilIdle(kLastEvents);
  calls_->Stop();
  server_.reset();
  endpoint_goes.join();
  Log(LogLevel::kInfo, "stopped");
}

absl::Status App::ChooseKernels() {
  kernels_ = config_.simd_level.empty() ? &BestKernels()
                                        : FindKernels(config_.simd_level);
  if (kernels_ != nullptr) return absl::OkStatus();
  std::string names;
  for (const KernelTable* table : SupportedKernels()) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", table->name);
  }
  return InvalidField("--simd_level", config_.simd_level,
                      absl::StrCat("one that this CPU has: ", names));
}

absl::Status App::OpenCatalog() {
  TIMBRE_ASSIGN_OR_RETURN(catalog_,
                          Catalog::Open({.data_dir = config_.data_dir,
                                         .keep_versions = config_.keep_versions,
                                         .kernels = kernels_,
                                         .budget = BudgetOf(config_)}));
  return absl::OkStatus();
}

int App::Workers() const {
  return config_.worker_threads != 0 ? config_.worker_threads : AvailableCpus();
}

void App::StartMetrics() {
  admission_ = std::make_unique<Admission>(
      AdmissionLimits{.frames = config_.max_queued_frames,
                      .bytes = config_.max_queued_bytes,
                      .work = config_.max_queued_time * Workers()});
  metrics_ = std::make_unique<ServerMetrics>(
      ServerMetrics::BuildInfo{.version = kVersion,
                               .faiss_version = faiss_format::kVersions,
                               .simd_level = std::string(kernels_->name)});
  metrics_->SetScrapedValues([this, catalog = catalog_.get()] {
    const CatalogStats stats = catalog->Stats();
    const CheckStats checks = catalog->LookAtChecks(MonotonicNow());
    return ScrapedValues{
        .speakers = static_cast<double>(stats.speakers),
        .speakers_loaded = static_cast<double>(stats.speakers_loaded),
        .versions_damaged = static_cast<double>(stats.versions_damaged),
        .versions_open = static_cast<double>(stats.budget.versions),
        .resident_bytes = static_cast<double>(stats.budget.open.bytes),
        .held_bytes = static_cast<double>(stats.budget.held.bytes),
        .reserved_bytes = static_cast<double>(stats.budget.reserved.bytes),
        .max_resident_bytes = static_cast<double>(stats.budget.limit.bytes),
        .openings_waiting =
            static_cast<double>(stats.budget.waiting + opener_->waiting()),
        .last_closed_age = absl::ToDoubleSeconds(stats.budget.last_closed_age),
        .closings = stats.budget.closings,
        .queued_frames = static_cast<double>(admission_->frames()),
        .queued_bytes =
            static_cast<double>(admission_->bytes() + read_ahead_.bytes.load()),
        .connections = static_cast<double>(acceptor_->open()),
        .log_lines_dropped = static_cast<double>(LogLinesLost()),
        .scrub_oldest_check_age_seconds = checks.oldest_age_seconds,
        .scrub_bytes = static_cast<double>(checks.bytes),
        .scrub_damaged = static_cast<double>(checks.damaged)};
  });
}

void App::MakeOpener() {
  opener_ = std::make_unique<VoiceOpener>(
      catalog_->budget(),
      [catalog = catalog_.get()](std::span<const VoiceName> voices,
                                 MemoryBudget::Visit& visit,
                                 const std::function<bool()>& cancelled) {
        return catalog->AcquireAll(voices, visit, cancelled);
      },
      [this](OpeningResult result, absl::Duration took, bool disk) {
        metrics_->CountOpening(static_cast<size_t>(result));
        if (result != OpeningResult::kOk) return;
        metrics_->ObserveOpening(disk ? OpenedFrom::kDisk : OpenedFrom::kMemory,
                                 took);
      },
      config_.max_concurrent_opens);
}

void App::MakeAcceptor() {
  acceptor_ = std::make_unique<Acceptor>(
      Acceptor::Options{.max_connections = std::min(config_.max_connections,
                                                    Acceptor::MaxConnections()),
                        .max_message_bytes = MaxReceivedBytes(config_),
                        .user_timeout = kPeerSilence},
      *metrics_);
}

absl::Status App::ExposeMetrics() {
  if (config_.metrics_listen.empty()) return absl::OkStatus();
  TIMBRE_ASSIGN_OR_RETURN(endpoint_,
                          MetricsEndpoint::Listen(config_.metrics_listen));
  metrics_port_ = endpoint_->port();
  for (const auto& collectable : metrics_->Collectables()) {
    endpoint_->Add(collectable);
  }
  return absl::OkStatus();
}

void App::StartPools() {
  const int cpus = AvailableCpus();
  ticker_ = std::make_unique<ProgressTicker>();
  workers_ = std::make_unique<ThreadPool>("search", Workers(),
                                          ThreadPriority::kUrgent);
  io_ =
      std::make_unique<ThreadPool>("io", kIoThreads, ThreadPriority::kDeferred);
  warmers_ = std::make_unique<ThreadPool>("warm", 1, ThreadPriority::kDeferred);
  builders_ =
      std::make_unique<BackgroundPool>("build", config_.max_concurrent_builds);
  verifiers_ = std::make_unique<BackgroundPool>("verify", 1);
  if (config_.max_queued_bytes != 0) {
    read_ahead_.max_bytes = config_.max_queued_bytes;
  }
  large_work_ =
      std::make_unique<LargeWork>(kLargePause, [this] { GiveMemoryBack(); });
  context_ = {.catalog = catalog_.get(),
              .metrics = metrics_.get(),
              .kernels = kernels_,
              .admission = admission_.get(),
              .workers = workers_.get(),
              .io = io_.get(),
              .opener = opener_.get(),
              .builders = builders_.get(),
              .verifiers = verifiers_.get(),
              .warmers = warmers_.get(),
              .read_ahead = &read_ahead_,
              .large_work = large_work_.get(),
              .services = {},
              .build_limits = {.max_frames = config_.max_build_frames,
                               .min_free_bytes = config_.min_free_disk,
                               .threads = config_.build_threads != 0
                                              ? config_.build_threads
                                              : cpus,
                               .cpu_quota = CpuQuota()},
              .server_info = {}};
  FillServerInfo();
}

void App::StartScrubber() {
  if (config_.scrub_rate == 0) return;
  scrubber_ = std::make_unique<Scrubber>(
      *catalog_, Scrubber::Options{.bytes_per_second = config_.scrub_rate,
                                   .first = std::random_device()()});
}

void App::GiveMemoryBack() {
  const auto left = std::make_shared<std::atomic<size_t>>(workers_->threads());
  workers_->SubmitToEach([this, left] {
    FreeThisWorkersScratch();
    if (left->fetch_sub(1) == 1) io_->Submit([] { ::malloc_trim(0); });
  });
}

void App::FillServerInfo() {
  v1::ServerInfo& info = context_.server_info;
  info.set_version(kVersion);
  info.set_faiss_version(faiss_format::kVersions);
  info.set_simd_level(std::string(kernels_->name));
  info.set_worker_threads(static_cast<uint32_t>(workers_->threads()));
  info.set_max_message_bytes(config_.max_message_bytes);
  info.set_metrics_port(static_cast<uint32_t>(metrics_port_));
  info.mutable_start_time()->set_seconds(absl::ToUnixSeconds(absl::Now()));
}

absl::Status App::AddServices() {
  // With one processor a look would delay the client, or the search itself.
  const bool several = AvailableCpus() >= 2 && CpuQuota() >= 2;
  calls_ = std::make_unique<CallServer>(
      CallServer::Options{
          .pollers = kPollers,
          .idle_poll = several ? config_.idle_poll : absl::ZeroDuration(),
          .max_calls = config_.max_calls},
      acceptor_->connections(), acceptor_->beats());
  TIMBRE_ASSIGN_OR_RETURN(std::vector<ServedService> services,
                          ServicesOf(context_, *ticker_, health_));
  for (ServedService& service : services) {
    calls_->AddService(service.descriptor, std::move(service.factories),
                       service.kind);
    context_.services.push_back(service.descriptor->full_name());
  }
  return absl::OkStatus();
}

absl::Status App::StartServer() {
  grpc::ServerBuilder builder;
  SetGrpcOptions(config_, builder);
  for (const std::string& address : config_.listen) {
    const absl::Status listens = acceptor_->Listen(address);
    if (!listens.ok()) return Annotate(listens, "--listen");
  }
  acceptor_->Register(builder);
  TIMBRE_RETURN_IF_ERROR(AddServices());
  calls_->Register(builder);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) {
    return MakeError(absl::StatusCode::kInternal, "INTERNAL",
                     "gRPC's server did not start");
  }
  grpc_port_ = acceptor_->port();
  for (const std::string& service : context_.services) {
    health_.Set(service, grpc::health::v1::HealthCheckResponse::SERVING);
  }
  health_.Set("", grpc::health::v1::HealthCheckResponse::SERVING);
  calls_->Start();
  return acceptor_->Start();
}

}  // namespace timbre
