// The one door through which errors leave towards gRPC.
#ifndef TIMBRE_SERVER_SERVICE_TRANSPORT_STATUS_MAPPER_H_
#define TIMBRE_SERVER_SERVICE_TRANSPORT_STATUS_MAPPER_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace timbre {

// The same code and text, with google.rpc.ErrorInfo (domain "timbre"), and
// BadRequest or RetryInfo where a field or a retry hint is known.
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_TRANSPORT_STATUS_MAPPER_H_
