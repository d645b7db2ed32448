// Calls that answer one request: with one message, or with a sequence.
#ifndef TIMBRE_SERVER_SERVICE_RPC_UNARY_HANDLER_H_
#define TIMBRE_SERVER_SERVICE_RPC_UNARY_HANDLER_H_

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "server/base/errors.h"
#include "server/base/mutex.h"
#include "server/service/rpc/rpc_handler.h"
#include "server/service/transport/message_codec.h"

namespace timbre {

// The next message of an answer; nothing at its end.
using MessageSource =
    std::function<absl::StatusOr<std::optional<grpc::ByteBuffer>>()>;

// Reads one request and writes what its source gives, message by message as
// the client takes them, on I/O threads.
class SingleRequestHandler : public RpcHandler {
 public:
  // Parses the request and starts its answer.
  using Start = std::function<absl::StatusOr<MessageSource>(grpc::ByteBuffer&)>;

  // Whose threads call `start`: those who may wait for a voice to be opened
  // (VoiceOpener::OpenNow) are not to keep others from I/O.
  enum class On : uint8_t { kIo, kOpener };

  SingleRequestHandler(Call& call, ServiceContext& context, Rpc rpc,
                       Start start, On on = On::kIo)
      : RpcHandler(call, context, rpc), start_(std::move(start)), on_(on) {}

  void OnRequest(grpc::ByteBuffer message) override;
  void OnRequestsEnd() override;
  void OnWritten() override;
  void OnDrain() override;

 private:
  void StartAnswer(grpc::ByteBuffer& message);
  void SendNext();
  // Gives back what the answer refers to before the client knows.
  void End(const absl::Status& status);

  const Start start_;
  const On on_;
  MessageSource source_;
  Mutex mutex_;
  bool asked_ ABSL_GUARDED_BY(mutex_) = false;  // the request has come
  bool sent_ ABSL_GUARDED_BY(mutex_) = false;   // a message of the answer
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
};

// Requests of these calls are small; what is not is refused before it is
// parsed, where it could grow to many times its size.
inline constexpr size_t kMaxSingleRequestBytes = 2 << 20;

// A handler for `start`: Request -> StatusOr<MessageSource>.
template <typename Request, typename StartAnswer>
std::unique_ptr<CallHandler> NewServerStreamHandler(
    Call& call, ServiceContext& context, Rpc rpc, StartAnswer start,
    SingleRequestHandler::On on = SingleRequestHandler::On::kIo) {
  return std::make_unique<SingleRequestHandler>(
      call, context, rpc,
      [start,
       &context](grpc::ByteBuffer& bytes) -> absl::StatusOr<MessageSource> {
        Request request;
        absl::Status status = ParseMessage(
            bytes, request,
            std::min<uint64_t>(kMaxSingleRequestBytes,
                               context.server_info.max_message_bytes()));
        if (!status.ok()) return status;
        return start(request);
      },
      on);
}

// The same for `answer`: Request -> StatusOr<Response>, which may change
// something: once it has begun the call is answered with what came of it, and a
// call that was refused never begins.
template <typename Request, typename Answer>
std::unique_ptr<CallHandler> NewUnaryHandler(Call& call,
                                             ServiceContext& context, Rpc rpc,
                                             Answer answer) {
  return NewServerStreamHandler<Request>(
      call, context, rpc,
      [answer, &call](const Request& request) -> absl::StatusOr<MessageSource> {
        if (!call.Begin()) return absl::CancelledError("");
        auto response = answer(request);
        if (!response.ok()) return response.status();
        std::optional<grpc::ByteBuffer> message = SerializeMessage(*response);
        return MessageSource([message]() mutable {
          return absl::StatusOr<std::optional<grpc::ByteBuffer>>(
              std::exchange(message, std::nullopt));
        });
      });
}

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_RPC_UNARY_HANDLER_H_
