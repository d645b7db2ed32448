// Retrieval.Search.
#ifndef TIMBRE_SERVER_SERVICE_SEARCH_RPC_H_
#define TIMBRE_SERVER_SERVICE_SEARCH_RPC_H_

#include <memory>

#include "server/service/service_context.h"
#include "server/service/transport/call.h"

namespace timbre {

std::unique_ptr<CallHandler> NewSearchHandler(Call& call,
                                              ServiceContext& context);

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_SEARCH_RPC_H_
