// The completion queues, the threads that poll them, and the calls in flight.
#ifndef TIMBRE_SERVER_SERVICE_TRANSPORT_CALL_SERVER_H_
#define TIMBRE_SERVER_SERVICE_TRANSPORT_CALL_SERVER_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/service/transport/call.h"
#include "server/service/transport/connections.h"
#include "server/service/transport/poller_beats.h"
#include "server/service/transport/raw_service.h"

namespace timbre {

// In this order: AddService, Register, (server built), Start, Drain, (server
// shut down), WaitUntilIdle, Stop.
class CallServer {
 public:
  struct Options {
    int pollers = 1;           // threads, each with a queue of its own
    absl::Duration idle_poll;  // as IdlePoll has it
    // Calls beyond are refused as they come, but for probes.
    size_t max_calls = 0;
  };
  // What calls bring is counted in `connections`, that the threads come to
  // their events in `beats`.
  CallServer(const Options& options, Connections& connections,
             PollerBeats& beats)
      : options_(options), connections_(connections), beats_(beats) {}

  // Probes are answered however many calls there are.
  enum class ServiceKind { kWork, kProbe };
  // One factory per method of the descriptor, in its order.
  void AddService(const google::protobuf::ServiceDescriptor* descriptor,
                  std::vector<Call::HandlerFactory> factories,
                  ServiceKind kind = ServiceKind::kWork);
  void Register(grpc::ServerBuilder& builder);
  void Start();
  // Tells every call, and those that still come, that the server drains: again
  // and again until all have ended. Shortly before `timeout` is over it ends
  // with `refusal` what has not begun by then, so that what has begun can be
  // answered, and nothing begins that could not.
  void Drain(absl::Duration timeout, const absl::Status& refusal);
  // Whether all calls ended before `timeout`.
  bool WaitUntilIdle(absl::Duration timeout);
  void Stop();

  // Whether another event waits for the calling thread, which polls.
  static bool MoreWaits();

 private:
  struct Service {
    std::unique_ptr<RawService> raw;
    std::vector<Call::HandlerFactory> factories;
  };

  void OnCall(Call* call, bool accepted);
  // Those that live now.
  std::vector<std::shared_ptr<Call>> Calls();
  void TellDraining();

  // Refuses calls beyond max_calls.
  Call::HandlerFactory Bounded(Call::HandlerFactory factory);

  const Options options_;
  Connections& connections_;
  PollerBeats& beats_;
  std::vector<Service> services_;
  std::vector<std::unique_ptr<grpc::ServerCompletionQueue>> queues_;
  std::vector<std::thread> threads_;

  Mutex mutex_;
  std::condition_variable idle_;
  std::unordered_set<Call*> calls_ ABSL_GUARDED_BY(mutex_);
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  std::atomic<size_t> in_flight_{0};  // as many as calls_ has
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_TRANSPORT_CALL_SERVER_H_
