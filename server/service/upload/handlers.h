// What takes frames and works on them for long: each function makes the handler
// of one call.
#ifndef TIMBRE_SERVER_SERVICE_UPLOAD_HANDLERS_H_
#define TIMBRE_SERVER_SERVICE_UPLOAD_HANDLERS_H_

#include <memory>

#include "server/service/rpc/service_context.h"
#include "server/service/transport/call.h"
#include "server/service/upload/build_progress.h"

namespace timbre {

std::unique_ptr<CallHandler> NewBuildHandler(Call& call,
                                             ServiceContext& context,
                                             ProgressTicker& ticker);
std::unique_ptr<CallHandler> NewTuneHandler(Call& call,
                                            ServiceContext& context);

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_UPLOAD_HANDLERS_H_
