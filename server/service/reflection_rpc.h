// grpc.reflection.v1 and v1alpha: the contract, for clients that have no proto.
#ifndef TIMBRE_SERVER_SERVICE_REFLECTION_RPC_H_
#define TIMBRE_SERVER_SERVICE_REFLECTION_RPC_H_

#include <memory>
#include <string>
#include <vector>

#include "grpc/reflection/v1/reflection.pb.h"
#include "server/service/service_context.h"
#include "server/service/transport/call.h"

namespace timbre {

// What reflection says to `request`, of the messages and services that this
// program was built with; `services` are those that it serves.
grpc::reflection::v1::ServerReflectionResponse Reflect(
    const grpc::reflection::v1::ServerReflectionRequest& request,
    const std::vector<std::string>& services);

// Both versions are the same on the wire. Answers on an I/O thread. Not counted
// among the requests.
std::unique_ptr<CallHandler> NewReflectionHandler(Call&, ServiceContext&);

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_REFLECTION_RPC_H_
