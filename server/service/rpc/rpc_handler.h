// What the handlers of all RPCs share: counting, and how they end.
#ifndef TIMBRE_SERVER_SERVICE_RPC_RPC_HANDLER_H_
#define TIMBRE_SERVER_SERVICE_RPC_RPC_HANDLER_H_

#include "absl/status/status.h"
#include "server/service/rpc/service_context.h"
#include "server/service/transport/call.h"

namespace timbre {

// The status with which calls end when the server drains.
absl::Status DrainingError();
// The status of a call that ends before its only request has come.
absl::Status NoRequestError();

class RpcHandler : public CallHandler {
 public:
  RpcHandler(Call& call, ServiceContext& context, Rpc rpc)
      : call_(call), context_(context), rpc_(rpc) {}

  // Counts the call and asks for its first message.
  void OnStart() override {
    context_.metrics->CallStarted(rpc_);
    call_.Read();
  }
  void OnEnd(const absl::Status& status) override {
    context_.metrics->CallFinished(rpc_, status.code());
  }

 protected:
  Call& call() { return call_; }
  const Call& call() const { return call_; }
  ServiceContext& context() const { return context_; }
  Rpc rpc() const { return rpc_; }

 private:
  Call& call_;
  ServiceContext& context_;
  const Rpc rpc_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_RPC_RPC_HANDLER_H_
