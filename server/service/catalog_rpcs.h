// The service Catalog: one function per RPC, in a file of its own where it is
// more than a few lines. Each makes the handler of one call.
#ifndef TIMBRE_SERVER_SERVICE_CATALOG_RPCS_H_
#define TIMBRE_SERVER_SERVICE_CATALOG_RPCS_H_

#include <memory>
#include <vector>

#include "server/service/service_context.h"
#include "server/service/transport/call.h"

namespace timbre {

using NewHandler = std::unique_ptr<CallHandler> (*)(Call&, ServiceContext&);

std::unique_ptr<CallHandler> NewListSpeakersHandler(Call&, ServiceContext&);
std::unique_ptr<CallHandler> NewGetSpeakerHandler(Call&, ServiceContext&);
std::unique_ptr<CallHandler> NewActivateVersionHandler(Call&, ServiceContext&);
std::unique_ptr<CallHandler> NewDeleteVersionHandler(Call&, ServiceContext&);
std::unique_ptr<CallHandler> NewDeleteSpeakerHandler(Call&, ServiceContext&);
std::unique_ptr<CallHandler> NewReadFramesHandler(Call&, ServiceContext&);
std::unique_ptr<CallHandler> NewExportHandler(Call&, ServiceContext&);
std::unique_ptr<CallHandler> NewTuneHandler(Call&, ServiceContext&);
std::unique_ptr<CallHandler> NewGetServerInfoHandler(Call&, ServiceContext&);

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_CATALOG_RPCS_H_
