// grpc.health.v1.Health: what Kubernetes and load balancers ask.
#ifndef TIMBRE_SERVER_SERVICE_HEALTH_RPCS_H_
#define TIMBRE_SERVER_SERVICE_HEALTH_RPCS_H_

#include <memory>

#include "server/service/service_context.h"
#include "server/service/transport/call.h"

namespace timbre {

// Answered on the thread that polls: also where all workers are busy. Not
// counted among the requests.
std::unique_ptr<CallHandler> NewHealthCheckHandler(Call&, ServiceContext&);
std::unique_ptr<CallHandler> NewHealthWatchHandler(Call&, ServiceContext&);

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_HEALTH_RPCS_H_
