#include "client/cpp/channel.h"

#include <grpcpp/generic/generic_stub.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/cpp/status.h"
#include "server/base/errors.h"

namespace timbre::client {
namespace {

constexpr absl::Duration kAskAgain = absl::Seconds(1);
constexpr std::chrono::milliseconds kMomentToAsk(200);
constexpr int kFirstDelayMs = 100;
constexpr int kLongestDelayMs = 5'000;

// gRPC tells why there is no connection only in the status of a call.
absl::Status WhyNoConnection(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kMomentToAsk);
  grpc::CompletionQueue queue;
  grpc::ByteBuffer none(nullptr, 0);
  grpc::ByteBuffer answer;
  grpc::Status status;
  const auto call = stub.PrepareUnaryCall(
      &context, "/grpc.health.v1.Health/Check", none, &queue);
  call->StartCall();
  call->Finish(&answer, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  return FromGrpcStatus(status);
}

absl::Status NoConnection(const Address& address, absl::Duration waited,
                          const absl::Status& why) {
  std::string text =
      absl::StrFormat("no connection to %s within %.1f s", address.text,
                      absl::ToDoubleSeconds(waited));
  if (!why.ok()) absl::StrAppend(&text, ": ", why.message());
  return NameProxy(
      MakeError(absl::StatusCode::kUnavailable, "NO_CONNECTION", text),
      address);
}

}  // namespace

std::shared_ptr<grpc::Channel> NewChannel(const Address& address,
                                          grpc::ChannelArguments arguments) {
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kFirstDelayMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kLongestDelayMs);
  if (address.local) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(
      address.text, grpc::InsecureChannelCredentials(), arguments);
}

absl::Status AwaitConnection(const std::shared_ptr<grpc::Channel>& channel,
                             const Address& address, absl::Duration timeout) {
  constexpr bool kConnect = true;
  const absl::Time start = absl::Now();
  const absl::Time deadline = start + timeout;
  const absl::Time patience = std::min(deadline, start + kAskAgain);
  bool refused = false;
  for (grpc_connectivity_state state = channel->GetState(kConnect);
       state != GRPC_CHANNEL_READY; state = channel->GetState(kConnect)) {
    refused = refused || state == GRPC_CHANNEL_TRANSIENT_FAILURE;
    const absl::Time until = refused ? patience : deadline;
    if (channel->WaitForStateChange(state, absl::ToChronoTime(until))) continue;
    const absl::Duration waited = absl::Now() - start;
    const absl::Status why =
        refused ? WhyNoConnection(channel) : absl::OkStatus();
    if (channel->GetState(kConnect) == GRPC_CHANNEL_READY) break;
    return NoConnection(address, waited, why);
  }
  return absl::OkStatus();
}

absl::Status NameProxy(const absl::Status& status, const Address& address) {
  if (status.code() != absl::StatusCode::kUnavailable &&
      status.code() != absl::StatusCode::kDeadlineExceeded) {
    return status;
  }
  const std::string proxy = ProxyOf(address, std::getenv);
  if (proxy.empty()) return status;
  ErrorDetails details = DetailsOf(status);
  return MakeErrorWithDetails(
      status.code(),
      absl::StrCat(status.message(), "; on the way is the proxy ", proxy,
                   "; with no_proxy=", address.host, " it would not be"),
      details);
}

}  // namespace timbre::client
