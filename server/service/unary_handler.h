// Calls that answer one request: with one message, or with a sequence.
#ifndef TIMBRE_SERVER_SERVICE_UNARY_HANDLER_H_
#define TIMBRE_SERVER_SERVICE_UNARY_HANDLER_H_

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "server/base/errors.h"
#include "server/service/message_codec.h"
#include "server/service/service_context.h"
#include "server/service/transport/call.h"

namespace timbre {

// The next message of an answer; nothing at its end.
using MessageSource =
    std::function<absl::StatusOr<std::optional<grpc::ByteBuffer>>()>;

// Reads one request and writes what its source gives, message by message as
// the client takes them, on I/O threads.
class SingleRequestHandler : public CallHandler {
 public:
  // Parses the request and starts its answer.
  using Start = std::function<absl::StatusOr<MessageSource>(grpc::ByteBuffer&)>;

  SingleRequestHandler(Call& call, ServiceContext& context, Rpc rpc,
                       Start start)
      : call_(call), context_(context), rpc_(rpc), start_(std::move(start)) {}

  void OnStart() override;
  void OnRequest(grpc::ByteBuffer message) override;
  void OnRequestsEnd() override;
  void OnWritten() override;
  void OnFinish(const absl::Status& status) override;

 private:
  void SendNext();

  Call& call_;
  ServiceContext& context_;
  const Rpc rpc_;
  const Start start_;
  MessageSource source_;
};

// A handler for `answer`: Request -> StatusOr<Response>, on an I/O thread.
template <typename Request, typename Answer>
std::unique_ptr<CallHandler> NewUnaryHandler(Call& call,
                                             ServiceContext& context, Rpc rpc,
                                             Answer answer) {
  return std::make_unique<SingleRequestHandler>(
      call, context, rpc,
      [answer](grpc::ByteBuffer& bytes) -> absl::StatusOr<MessageSource> {
        Request request;
        if (auto status = ParseMessage(bytes, request); !status.ok()) {
          return status;
        }
        auto response = answer(request);
        if (!response.ok()) return response.status();
        std::optional<grpc::ByteBuffer> message = SerializeMessage(*response);
        return MessageSource([message]() mutable {
          return absl::StatusOr<std::optional<grpc::ByteBuffer>>(
              std::exchange(message, std::nullopt));
        });
      });
}

// The same for `start`: Request -> StatusOr<MessageSource>.
template <typename Request, typename StartAnswer>
std::unique_ptr<CallHandler> NewServerStreamHandler(Call& call,
                                                    ServiceContext& context,
                                                    Rpc rpc,
                                                    StartAnswer start) {
  return std::make_unique<SingleRequestHandler>(
      call, context, rpc,
      [start](grpc::ByteBuffer& bytes) -> absl::StatusOr<MessageSource> {
        Request request;
        if (auto status = ParseMessage(bytes, request); !status.ok()) {
          return status;
        }
        return start(request);
      });
}

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_UNARY_HANDLER_H_
