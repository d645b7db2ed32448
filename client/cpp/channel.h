// Channels to a server. Free functions, thread-safe.
#ifndef TIMBRE_CLIENT_CPP_CHANNEL_H_
#define TIMBRE_CLIENT_CPP_CHANNEL_H_

#include <grpcpp/grpcpp.h>

#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/cpp/address.h"

namespace timbre::client {

// Messages of any size; no proxy on this machine's own addresses. Does not
// connect yet. `arguments` are added to.
std::shared_ptr<grpc::Channel> NewChannel(const Address& address,
                                          grpc::ChannelArguments arguments);

// Returns once there is a connection. A server that refuses is asked again for
// a second: it may be starting, and gRPC 1.51 has been seen to fail at once on
// a loaded machine though somebody listens. UNAVAILABLE after that, or within
// `timeout`; the text names the proxy of the environment if there is one.
absl::Status AwaitConnection(const std::shared_ptr<grpc::Channel>& channel,
                             const Address& address, absl::Duration timeout);

// `status` with the proxy of the environment named, where its code is one that
// a proxy or a lost connection makes. For statuses that no server gave.
absl::Status NameProxy(const absl::Status& status, const Address& address);

}  // namespace timbre::client

#endif  // TIMBRE_CLIENT_CPP_CHANNEL_H_
