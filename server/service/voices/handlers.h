// What shows voices, changes them and gives them back: each function makes the
// handler of one call.
#ifndef TIMBRE_SERVER_SERVICE_VOICES_HANDLERS_H_
#define TIMBRE_SERVER_SERVICE_VOICES_HANDLERS_H_

#include <memory>

#include "server/service/rpc/service_context.h"
#include "server/service/transport/call.h"

namespace timbre {

std::unique_ptr<CallHandler> NewListSpeakersHandler(Call&, ServiceContext&);
std::unique_ptr<CallHandler> NewGetSpeakerHandler(Call&, ServiceContext&);
std::unique_ptr<CallHandler> NewActivateVersionHandler(Call&, ServiceContext&);
std::unique_ptr<CallHandler> NewDeleteVersionHandler(Call&, ServiceContext&);
std::unique_ptr<CallHandler> NewDeleteSpeakerHandler(Call&, ServiceContext&);
std::unique_ptr<CallHandler> NewReadFramesHandler(Call&, ServiceContext&);
std::unique_ptr<CallHandler> NewExportHandler(Call&, ServiceContext&);
std::unique_ptr<CallHandler> NewVerifyHandler(Call&, ServiceContext&);
std::unique_ptr<CallHandler> NewGetServerInfoHandler(Call&, ServiceContext&);

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_VOICES_HANDLERS_H_
