#include "server/service/health_rpcs.h"

#include <mutex>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/service/health.h"
#include "server/service/message_codec.h"
#include "server/service/rpc_handler.h"

namespace timbre {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

constexpr size_t kMaxRequestBytes = 4096;

grpc::ByteBuffer Message(ServingStatus status) {
  HealthCheckResponse response;
  response.set_status(status);
  return SerializeMessage(response);
}

class CheckHandler : public CallHandler {
 public:
  CheckHandler(Call& call, const Health& health)
      : call_(call), health_(health) {}

  void OnStart() override { call_.Read(); }

  void OnRequest(grpc::ByteBuffer message) override {
    HealthCheckRequest request;
    const absl::Status parsed =
        ParseMessage(message, request, kMaxRequestBytes);
    if (!parsed.ok()) return call_.Finish(parsed);
    const ServingStatus status = health_.Of(request.service());
    if (status != HealthCheckResponse::SERVICE_UNKNOWN) {
      return call_.WriteAndFinish(Message(status));
    }
    call_.Finish(
        MakeError(absl::StatusCode::kNotFound, "SERVICE_NOT_FOUND",
                  absl::StrCat("service: \"", Printable(request.service()),
                               "\" is not served here")));
  }

  void OnRequestsEnd() override { call_.Finish(NoRequestError()); }

  // Whatever is asked: no service serves now. A call that never asks does not
  // hold the drain.
  void OnDrain() override {
    call_.WriteAndFinish(Message(HealthCheckResponse::NOT_SERVING));
  }

  void OnEnd(const absl::Status&) override {}

 private:
  Call& call_;
  const Health& health_;
};

class WatchHandler : public CallHandler, private Health::Watcher {
 public:
  WatchHandler(Call& call, Health& health) : call_(call), health_(health) {}

  void OnStart() override { call_.Read(); }

  void OnRequest(grpc::ByteBuffer message) override {
    HealthCheckRequest request;
    const absl::Status parsed =
        ParseMessage(message, request, kMaxRequestBytes);
    if (!parsed.ok()) return call_.Finish(parsed);
    service_ = request.service();
    health_.Watch(*this);
  }

  void OnRequestsEnd() override { call_.Finish(NoRequestError()); }

  void OnWritten() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    writing_ = false;
    Proceed();
  }

  // Ends when its last word, NOT_SERVING, has been said; nothing serves now,
  // whatever is to be watched.
  void OnDrain() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    draining_ = true;
    if (!status_) status_ = HealthCheckResponse::NOT_SERVING;
    Proceed();
  }

  void OnEnd(const absl::Status&) override { health_.Leave(*this); }

 private:
  const std::string& service() const override { return service_; }

  void Tell(ServingStatus status) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    status_ = status;
    Proceed();
  }

  // Says what was not said, once the transport has taken what was said before.
  // REQUIRES: mutex_.
  void Proceed() {
    if (writing_) return;
    if (status_ != said_) {
      said_ = status_;
      writing_ = true;
      return call_.Write(Message(*said_));
    }
    if (draining_) call_.Finish(DrainingError());
  }

  Call& call_;
  Health& health_;
  std::string service_;  // constant once it watches
  std::mutex mutex_;
  std::optional<ServingStatus> status_;  // guarded by mutex_, like those below
  std::optional<ServingStatus> said_;
  bool writing_ = false;
  bool draining_ = false;
};

}  // namespace

std::unique_ptr<CallHandler> NewHealthCheckHandler(Call& call,
                                                   ServiceContext& context) {
  return std::make_unique<CheckHandler>(call, *context.health);
}

std::unique_ptr<CallHandler> NewHealthWatchHandler(Call& call,
                                                   ServiceContext& context) {
  return std::make_unique<WatchHandler>(call, *context.health);
}

}  // namespace timbre
