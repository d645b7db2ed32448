// The way to one server. Not for use outside of this folder.
#ifndef TIMBRE_CLIENT_CPP_CONNECTION_H_
#define TIMBRE_CLIENT_CPP_CONNECTION_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cpp/address.h"

namespace timbre::client {

// Constant after construction: thread-safe.
class Connection {
 public:
  Connection(const std::string& server, absl::Duration timeout);

  // Connects if need be. INVALID_ARGUMENT for a wrong address, UNAVAILABLE
  // where nobody answers.
  absl::Status Await() const;

  // REQUIRES: Await returned OK.
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  // Of a connection to come, and the longest silence of a call.
  absl::Duration timeout() const { return timeout_; }

  // The status of a call, told as FromGrpcStatus does, with the proxy named if
  // it may be one's doing.
  absl::Status Explain(const grpc::Status& status) const;
  // That a call was given up for its silence.
  absl::Status Silent() const;

 private:
  const absl::StatusOr<Address> address_;
  const absl::Duration timeout_;
  const std::shared_ptr<grpc::Channel> channel_;  // null: a wrong address
};

}  // namespace timbre::client

#endif  // TIMBRE_CLIENT_CPP_CONNECTION_H_
