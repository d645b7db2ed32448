#include "server/service/transport/call.h"

#include <utility>

#include "server/base/monotonic_clock.h"
#include "server/service/transport/status_mapper.h"

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

void Call::Read() {
  const MutexLock lock(mutex_);
  if (!over_) stream_.Read(&incoming_, read_.Start());
}

void Call::Write(const grpc::ByteBuffer& message) {
  const MutexLock lock(mutex_);
  if (!over_) stream_.Write(message, written_.Start());
}

bool Call::Begin() {
  const MutexLock lock(mutex_);
  if (!over_) begun_ = true;
  return !over_;
}

bool Call::begun() const {
  const MutexLock lock(mutex_);
  return begun_;
}

bool Call::StartFinishing(const absl::Status& status) {
  const MutexLock lock(mutex_);
  if (over_) return false;
  over_ = true;
  status_ = status;
  return true;
}

void Call::SendStatus(const absl::Status& status) {
  stream_.Finish(ToGrpcStatus(status), finished_.Start());
}

void Call::Finish(const absl::Status& status) {
  if (StartFinishing(status)) SendStatus(status);
}

void Call::Refuse(const absl::Status& status) {
  {
    const MutexLock lock(mutex_);
    if (over_ || begun_) return;
    over_ = true;
    status_ = status;
  }
  SendStatus(status);
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
  // What was refused before it was read is not done.
  if (!over_) handler_->OnRequest(message);
}

void Call::OnWriteDone(bool ok) {
  if (!ok) return;
  answered_.store(true, std::memory_order_relaxed);
  handler_->OnWritten();
}

void Call::OnEnd(bool) {
  const bool gone = context_.IsCancelled();
  absl::Status status;
  {
    const MutexLock lock(mutex_);
    over_ = true;
    status = gone ? absl::CancelledError(
                        "the client is gone or its deadline has passed")
                  : status_;
  }
  // A deadline that has passed is no call that was taken back.
  connection_->CallEnded(gone && !answered_.load(std::memory_order_relaxed) &&
                         context_.deadline() >
                             std::chrono::system_clock::now() &&
                         MonotonicNow() - accepted_at_ < kAtOnce);
  handler_->OnEnd(status);
}

}  // namespace timbre
