// What answers live conversion: each function makes the handler of one call.
#ifndef TIMBRE_SERVER_SERVICE_LIVE_HANDLERS_H_
#define TIMBRE_SERVER_SERVICE_LIVE_HANDLERS_H_

#include <memory>

#include "server/service/rpc/service_context.h"
#include "server/service/transport/call.h"

namespace timbre {

std::unique_ptr<CallHandler> NewSearchHandler(Call& call,
                                              ServiceContext& context);
std::unique_ptr<CallHandler> NewBlendHandler(Call& call,
                                             ServiceContext& context);

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_LIVE_HANDLERS_H_
