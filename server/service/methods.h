// The one table of what is served: which handler answers which method.
#ifndef TIMBRE_SERVER_SERVICE_METHODS_H_
#define TIMBRE_SERVER_SERVICE_METHODS_H_

#include <google/protobuf/descriptor.h>

#include <vector>

#include "absl/status/statusor.h"
#include "server/service/probes/health.h"
#include "server/service/rpc/service_context.h"
#include "server/service/transport/call_server.h"
#include "server/service/upload/build_progress.h"

namespace timbre {

// One service of the table, as CallServer takes it.
struct ServedService {
  const google::protobuf::ServiceDescriptor* descriptor = nullptr;
  CallServer::ServiceKind kind = CallServer::ServiceKind::kWork;
  // One per method, in the order of the proto.
  std::vector<Call::HandlerFactory> factories;
};

// All of them. The handlers use what is passed, which must outlive the calls.
// INTERNAL if the table and the protos differ: a method that has no handler, or
// a handler of no method.
absl::StatusOr<std::vector<ServedService>> ServicesOf(ServiceContext& context,
                                                      ProgressTicker& ticker,
                                                      Health& health);

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_METHODS_H_
