#include "client/cpp/connection.h"

#include "absl/strings/str_cat.h"
#include "client/cpp/channel.h"
#include "client/cpp/status.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"

namespace timbre::client {
namespace {

std::shared_ptr<grpc::Channel> ChannelTo(
    const absl::StatusOr<Address>& address) {
  if (!address.ok()) return nullptr;
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  return NewChannel(*address, arguments);
}

}  // namespace

Connection::Connection(const std::string& server, absl::Duration timeout)
    : address_(ParseAddress(server)),
      timeout_(timeout),
      channel_(ChannelTo(address_)) {}

absl::Status Connection::Await() const {
  TIMBRE_RETURN_IF_ERROR(address_.status());
  return AwaitConnection(channel_, *address_, timeout_);
}

absl::Status Connection::Explain(const grpc::Status& status) const {
  const absl::Status error = FromGrpcStatus(status);
  return status.error_details().empty() ? NameProxy(error, *address_) : error;
}

absl::Status Connection::Silent() const {
  return NameProxy(
      MakeError(absl::StatusCode::kDeadlineExceeded, "NO_ANSWER",
                absl::StrCat("no answer from ", address_->text, " for ",
                             absl::FormatDuration(timeout_))),
      *address_);
}

}  // namespace timbre::client
