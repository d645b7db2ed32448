// Retrieval.Blend.
#ifndef TIMBRE_SERVER_SERVICE_BLEND_RPC_H_
#define TIMBRE_SERVER_SERVICE_BLEND_RPC_H_

#include <memory>

#include "server/service/service_context.h"
#include "server/service/transport/call.h"

namespace timbre {

std::unique_ptr<CallHandler> NewBlendHandler(Call& call,
                                             ServiceContext& context);

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_BLEND_RPC_H_
