#include "server/service/transport/call.h"

#include <utility>

#include "server/base/monotonic_clock.h"
#include "server/service/status_mapper.h"

namespace timbre {
namespace {

// A call that its client takes back sooner was made for nothing.
constexpr absl::Duration kAtOnce = absl::Milliseconds(100);

}  // namespace

void Call::Post(RawService& service, int index,
                grpc::ServerCompletionQueue& queue, HandlerFactory factory,
                Listener listener, Connections& connections) {
  const std::shared_ptr<Call> call(new Call(service, index, queue,
                                            std::move(factory),
                                            std::move(listener), connections));
  call->context_.AsyncNotifyWhenDone(
      static_cast<CompletionTag*>(&call->ended_));
  service.RequestCall(index, &call->context_, &call->stream_, &queue,
                      call->accepted_.Start());
}

Call::Call(RawService& service, int index, grpc::ServerCompletionQueue& queue,
           HandlerFactory factory, Listener listener, Connections& connections)
    : service_(service),
      index_(index),
      queue_(queue),
      factory_(std::move(factory)),
      listener_(std::move(listener)),
      connections_(connections) {}

Call::~Call() {
  if (handler_ == nullptr) return;
  handler_.reset();  // first: who waits for the last call takes down the rest
  listener_(this, false);
}

void Call::OnAccepted(bool ok) {
  if (!ok) return;  // the server shuts down; `ended_` never comes
  Post(service_, index_, queue_, factory_, listener_, connections_);
  ended_.Start();  // comes for every accepted call
  connection_ = connections_.Find(context_.peer());
  connection_->CallBegan();
  accepted_at_ = MonotonicNow();
  handler_ = factory_(*this);
  stream_.SendInitialMetadata(started_.Start());
  handler_->OnStart();
  // Last: from here on the call may be told to drain, which may end it.
  listener_(this, true);
}

bool Call::MayStart() { return !finishing_ && !cancelled_.load(); }

void Call::Read() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (MayStart()) stream_.Read(&incoming_, read_.Start());
}

void Call::Write(const grpc::ByteBuffer& message) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (MayStart()) stream_.Write(message, written_.Start());
}

bool Call::StartFinishing(const absl::Status& status) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (finishing_) return false;
  finishing_ = true;
  status_ = status;
  return !cancelled();
}

void Call::Finish(const absl::Status& status) {
  if (!StartFinishing(status)) return;
  stream_.Finish(ToGrpcStatus(status), finished_.Start());
}

void Call::WriteAndFinish(const grpc::ByteBuffer& message) {
  if (!StartFinishing(absl::OkStatus())) return;
  stream_.WriteAndFinish(message, grpc::WriteOptions(), grpc::Status::OK,
                         finished_.Start());
}

absl::string_view Call::Metadata(const std::string& key) const {
  const auto it = context_.client_metadata().find(key);
  if (it == context_.client_metadata().end()) return {};
  return {it->second.data(), it->second.size()};
}

void Call::Drain() { handler_->OnDrain(); }

void Call::OnReadDone(bool ok) {
  if (!ok) {
    handler_->OnRequestsEnd();
    return;
  }
  grpc::ByteBuffer message;
  message.Swap(&incoming_);
  connection_->MessageCame(message.Length());
  handler_->OnRequest(message);
}

void Call::OnWriteDone(bool ok) {
  if (!ok) return;
  answered_.store(true, std::memory_order_relaxed);
  handler_->OnWritten();
}

void Call::OnEnd(bool) {
  absl::Status status;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    cancelled_.store(context_.IsCancelled());
    finishing_ = true;
    status = cancelled() ? absl::CancelledError(
                               "the client is gone or its deadline has passed")
                         : status_;
  }
  connection_->CallEnded(cancelled() &&
                         !answered_.load(std::memory_order_relaxed) &&
                         MonotonicNow() - accepted_at_ < kAtOnce);
  handler_->OnEnd(status);
}

}  // namespace timbre
