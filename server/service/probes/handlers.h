// Health and reflection: each function makes the handler of one call. These
// calls are not counted in the metrics of requests.
#ifndef TIMBRE_SERVER_SERVICE_PROBES_HANDLERS_H_
#define TIMBRE_SERVER_SERVICE_PROBES_HANDLERS_H_

#include <memory>

#include "server/service/probes/health.h"
#include "server/service/rpc/service_context.h"
#include "server/service/transport/call.h"

namespace timbre {

// Answered on the thread that polls: also where all workers are busy.
std::unique_ptr<CallHandler> NewHealthCheckHandler(Call& call,
                                                   const Health& health);
std::unique_ptr<CallHandler> NewHealthWatchHandler(Call& call, Health& health);

// Both versions of reflection are the same on the wire. Answers on an I/O
// thread.
std::unique_ptr<CallHandler> NewReflectionHandler(Call& call,
                                                  ServiceContext& context);

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_PROBES_HANDLERS_H_
