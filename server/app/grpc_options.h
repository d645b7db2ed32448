// How gRPC is told to treat connections and messages.
#ifndef TIMBRE_SERVER_APP_GRPC_OPTIONS_H_
#define TIMBRE_SERVER_APP_GRPC_OPTIONS_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>

#include "absl/time/time.h"
#include "server/app/config.h"

namespace timbre {

// How long a new connection may take to say that it speaks HTTP/2, and what is
// sent to any to be acknowledged.
inline constexpr absl::Duration kPeerSilence = absl::Seconds(20);

// Of a message, before its connection is shut: some times what is accepted, so
// that a client whose message is too large hears so.
uint64_t MaxReceivedBytes(const Config& config);

void SetGrpcOptions(const Config& config, grpc::ServerBuilder& builder);

}  // namespace timbre

#endif  // TIMBRE_SERVER_APP_GRPC_OPTIONS_H_
