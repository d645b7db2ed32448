// gRPC's statuses as absl::Status, details included.
#ifndef TIMBRE_CLIENT_CPP_STATUS_H_
#define TIMBRE_CLIENT_CPP_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace timbre::client {

// What the server said: code, text, reason, field and retry hint
// (server/base/errors.h, DetailsOf). Where the details that came along have a
// code of their own, it is theirs that counts: a proxy that resets the stream
// of an early answer replaces the code, but passes the details on.
//
// Of answers that a proxy made by itself the text says what probably caused
// them, with the reasons BODY_TOO_LARGE (413), NO_SERVER_BEHIND (502, 503),
// PROXY_TIMEOUT (504), PROXY_REFUSED (any other HTTP status), NO_GRPC_ANSWER
// (a page instead of an answer) and STREAM_CUT (reset, without a reason).
absl::Status FromGrpcStatus(const grpc::Status& status);

}  // namespace timbre::client

#endif  // TIMBRE_CLIENT_CPP_STATUS_H_
