#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/mutex.h"
#include "server/service/probes/handlers.h"
#include "server/service/rpc/rpc_handler.h"
#include "server/service/transport/message_codec.h"

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

// What both methods share: one request, about one service.
class HealthHandler : public CallHandler {
 public:
  explicit HealthHandler(Call& call) : call_(call) {}

  void OnStart() override { call_.Read(); }

  void OnRequest(grpc::ByteBuffer message) override {
    HealthCheckRequest request;
    const absl::Status parsed =
        ParseMessage(message, request, kMaxRequestBytes);
    if (!parsed.ok()) return call_.Finish(parsed);
    Answer(request.service());
  }

  void OnRequestsEnd() override { call_.Finish(NoRequestError()); }
  void OnEnd(const absl::Status&) override {}

 protected:
  virtual void Answer(const std::string& service) = 0;
  Call& call() { return call_; }

 private:
  Call& call_;
};

class CheckHandler : public HealthHandler {
 public:
  CheckHandler(Call& call, const Health& health)
      : HealthHandler(call), health_(health) {}

  // Whatever is asked: no service serves now. A call that never asks does not
  // hold the drain.
  void OnDrain() override {
    call().WriteAndFinish(Message(HealthCheckResponse::NOT_SERVING));
  }

 private:
  void Answer(const std::string& service) override {
    const ServingStatus status = health_.Of(service);
    if (status != HealthCheckResponse::SERVICE_UNKNOWN) {
      return call().WriteAndFinish(Message(status));
    }
    call().Finish(MakeError(absl::StatusCode::kNotFound, "SERVICE_NOT_FOUND",
                            absl::StrCat("service: \"", Printable(service),
                                         "\" is not served here")));
  }

  const Health& health_;
};

class WatchHandler : public HealthHandler, private Health::Watcher {
 public:
  WatchHandler(Call& call, Health& health)
      : HealthHandler(call), health_(health) {}

  // A request may come after the end, and only then begin to watch.
  ~WatchHandler() override { health_.Leave(*this); }

  void OnWritten() override {
    const MutexLock lock(mutex_);
    writing_ = false;
    Proceed();
  }

  // Ends once NOT_SERVING was sent, which is every service's status now, also
  // where the client has not asked for one yet.
  void OnDrain() override {
    const MutexLock lock(mutex_);
    draining_ = true;
    if (!status_) status_ = HealthCheckResponse::NOT_SERVING;
    Proceed();
  }

  void OnEnd(const absl::Status&) override { health_.Leave(*this); }

 private:
  void Answer(const std::string& service) override {
    service_ = service;
    health_.Watch(*this);
  }

  const std::string& service() const override { return service_; }

  void Tell(ServingStatus status) override {
    const MutexLock lock(mutex_);
    status_ = status;
    Proceed();
  }

  // Says what was not said, once the transport has taken what was said before.
  void Proceed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_) return;
    if (status_ != said_) {
      said_ = status_;
      writing_ = true;
      return call().Write(Message(*said_));
    }
    if (draining_) call().Finish(DrainingError());
  }

  Health& health_;
  std::string service_;  // constant once it watches
  Mutex mutex_;
  std::optional<ServingStatus> status_ ABSL_GUARDED_BY(mutex_);
  std::optional<ServingStatus> said_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

std::unique_ptr<CallHandler> NewHealthCheckHandler(Call& call,
                                                   const Health& health) {
  return std::make_unique<CheckHandler>(call, health);
}

std::unique_ptr<CallHandler> NewHealthWatchHandler(Call& call, Health& health) {
  return std::make_unique<WatchHandler>(call, health);
}

}  // namespace timbre
