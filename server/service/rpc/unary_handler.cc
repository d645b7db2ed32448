#include "server/service/rpc/unary_handler.h"

#include "server/catalog/open/voice_opener.h"

namespace timbre {

void SingleRequestHandler::OnRequest(grpc::ByteBuffer message) {
  {
    const MutexLock lock(mutex_);
    asked_ = true;
  }
  context().metrics->AddBytes(rpc(), message.Length(), 0);
  auto start = [this, keep = call().shared_from_this(),
                message = std::move(message)]() mutable {
    StartAnswer(message);
  };
  if (on_ == On::kIo) return context().io->Submit(std::move(start));
  if (!context().opener->Run(std::move(start))) call().Finish(DrainingError());
}

void SingleRequestHandler::StartAnswer(grpc::ByteBuffer& message) {
  if (call().cancelled()) return;
  auto source = start_(message);
  if (!source.ok()) return call().Finish(source.status());
  source_ = *std::move(source);
  SendNext();
}

void SingleRequestHandler::End(const absl::Status& status) {
  source_ = nullptr;
  call().Finish(status);
}

void SingleRequestHandler::OnRequestsEnd() { call().Finish(NoRequestError()); }

void SingleRequestHandler::OnWritten() {
  context().io->Submit(
      [this, keep = call().shared_from_this()] { SendNext(); });
}

void SingleRequestHandler::OnDrain() {
  {
    const MutexLock lock(mutex_);
    draining_ = true;
    if (asked_) return;  // a sequence ends at its next message
  }
  call().Finish(DrainingError());
}

void SingleRequestHandler::SendNext() {
  if (call().cancelled()) return;
  const auto next = source_();
  if (!next.ok()) return End(next.status());
  if (!next->has_value()) return End(absl::OkStatus());
  bool drained = false;
  {
    const MutexLock lock(mutex_);
    drained = draining_ && sent_;
    sent_ = true;
  }
  if (drained) return End(DrainingError());
  context().metrics->AddBytes(rpc(), 0, (*next)->Length());
  call().Write(**next);
}

}  // namespace timbre
