// What the RPCs work with. app/ owns all of it.
#ifndef TIMBRE_SERVER_SERVICE_RPC_SERVICE_CONTEXT_H_
#define TIMBRE_SERVER_SERVICE_RPC_SERVICE_CONTEXT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "server/base/background_pool.h"
#include "server/base/thread_pool.h"
#include "server/catalog/catalog.h"
#include "server/kernels/kernels.h"
#include "server/metrics/server_metrics.h"
#include "timbre/v1/retrieval.pb.h"

namespace timbre {

class Admission;
class LargeWork;
struct ReadAhead;
class VoiceOpener;

struct BuildLimits {
  uint64_t max_frames = 0;      // 0: unlimited
  uint64_t min_free_bytes = 0;  // of the data directory's file system
  int threads = 1;              // of one build
  double cpu_quota = 1;         // of the server; infinite: none
};

struct ServiceContext {
  Catalog* catalog = nullptr;
  ServerMetrics* metrics = nullptr;
  const KernelTable* kernels = nullptr;
  Admission* admission = nullptr;       // to `workers`
  ThreadPool* workers = nullptr;        // searches: never blocks
  ThreadPool* io = nullptr;             // may wait for the disk
  VoiceOpener* opener = nullptr;        // has its own threads
  BackgroundPool* builders = nullptr;   // one build a thread
  BackgroundPool* verifiers = nullptr;  // one version at a time
  ThreadPool* warmers = nullptr;        // see warm_up.h
  ReadAhead* read_ahead = nullptr;      // messages before their turn
  LargeWork* large_work = nullptr;      // messages large enough to count
  std::vector<std::string> services;    // full names of those that are served
  BuildLimits build_limits;
  v1::ServerInfo server_info;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_RPC_SERVICE_CONTEXT_H_
