// grpc.reflection.v1 and v1alpha: the contract, for clients that have no proto.
#ifndef TIMBRE_SERVER_SERVICE_PROBES_REFLECTION_H_
#define TIMBRE_SERVER_SERVICE_PROBES_REFLECTION_H_

#include <string>
#include <vector>

#include "grpc/reflection/v1/reflection.pb.h"

namespace timbre {

// What reflection says to `request`, of the messages and services that this
// program was built with; `services` are those that it serves.
grpc::reflection::v1::ServerReflectionResponse Reflect(
    const grpc::reflection::v1::ServerReflectionRequest& request,
    const std::vector<std::string>& services);

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_PROBES_REFLECTION_H_
