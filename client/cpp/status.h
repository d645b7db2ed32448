// gRPC's statuses as absl::Status, details included.
#ifndef TIMBRE_CLIENT_CPP_STATUS_H_
#define TIMBRE_CLIENT_CPP_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace timbre::client {

// The same code and text; server/base/errors.h's DetailsOf gives the reason,
// the field and the retry hint that the server sent.
absl::Status FromGrpcStatus(const grpc::Status& status);

}  // namespace timbre::client

#endif  // TIMBRE_CLIENT_CPP_STATUS_H_
