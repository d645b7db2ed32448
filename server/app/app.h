// The server as a whole: construct, start, drain, in this order.
#ifndef TIMBRE_SERVER_APP_APP_H_
#define TIMBRE_SERVER_APP_APP_H_

#include <grpcpp/grpcpp.h>

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/app/config.h"
#include "server/app/metrics_endpoint.h"
#include "server/app/port_file.h"
#include "server/base/background_pool.h"
#include "server/base/large_work.h"
#include "server/base/thread_pool.h"
#include "server/catalog/catalog.h"
#include "server/catalog/open/voice_opener.h"
#include "server/catalog/scrubber.h"
#include "server/kernels/kernels.h"
#include "server/metrics/server_metrics.h"
#include "server/service/probes/health.h"
#include "server/service/rpc/admission.h"
#include "server/service/rpc/service_context.h"
#include "server/service/transport/acceptor.h"
#include "server/service/transport/call_server.h"
#include "server/service/transport/inbox.h"
#include "server/service/upload/build_progress.h"

namespace timbre {

class App {
 public:
  // Opens the data directory, binds the addresses and starts to answer.
  // FAILED_PRECONDITION if the directory is in use, UNAVAILABLE if an address
  // is, INVALID_ARGUMENT for a SIMD level that the CPU lacks.
  static absl::StatusOr<std::unique_ptr<App>> Start(const Config& config);
  // Drains, if nobody has.
  ~App();
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  // Health says NOT_SERVING, calls end between messages, builds go on; what is
  // left after --drain_timeout is cut off. Returns when everything has ended.
  void Drain();

  // Of the first TCP address, or 0.
  int grpc_port() const { return grpc_port_; }
  int metrics_port() const { return metrics_port_; }  // 0: none

 private:
  explicit App(const Config& config);

  // In this order.
  absl::Status Run();
  absl::Status ChooseKernels();
  absl::Status OpenCatalog();
  void StartMetrics();
  // Both before the endpoint of the metrics, which shows what they count.
  void MakeOpener();
  void MakeAcceptor();
  absl::Status ExposeMetrics();
  void StartPools();
  void FillServerInfo();
  absl::Status StartServer();
  absl::Status AddServices();
  void StartScrubber();

  int Workers() const;
  // Working memory of the workers, and then what the allocator keeps.
  void GiveMemoryBack();

  // Each uses those above it, so they go from the last to the first.
  const Config config_;
  PortFile port_file_;  // first to come, last to go
  const KernelTable* kernels_ = nullptr;
  std::unique_ptr<Catalog> catalog_;
  std::unique_ptr<Admission> admission_;
  std::unique_ptr<ServerMetrics> metrics_;
  std::unique_ptr<VoiceOpener> opener_;
  std::unique_ptr<Acceptor> acceptor_;
  std::unique_ptr<MetricsEndpoint> endpoint_;
  std::unique_ptr<ProgressTicker> ticker_;
  std::unique_ptr<ThreadPool> workers_;
  std::unique_ptr<ThreadPool> io_;
  std::unique_ptr<BackgroundPool> builders_;
  std::unique_ptr<BackgroundPool> verifiers_;
  std::unique_ptr<ThreadPool> warmers_;
  std::unique_ptr<LargeWork> large_work_;
  std::unique_ptr<Scrubber> scrubber_;  // null: --scrub_rate=0
  ReadAhead read_ahead_;
  Health health_;
  ServiceContext context_;
  std::unique_ptr<CallServer> calls_;
  std::unique_ptr<grpc::Server> server_;
  int grpc_port_ = 0;
  int metrics_port_ = 0;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_APP_APP_H_
