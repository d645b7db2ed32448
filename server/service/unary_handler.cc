#include "server/service/unary_handler.h"

namespace timbre {

void SingleRequestHandler::OnStart() {
  context_.metrics->CallStarted(rpc_);
  call_.Read();
}

void SingleRequestHandler::OnRequest(grpc::ByteBuffer message) {
  context_.metrics->AddBytes(rpc_, message.Length(), 0);
  context_.io->Submit([this, keep = call_.shared_from_this(),
                       message = std::move(message)]() mutable {
    auto source = start_(message);
    if (!source.ok()) return call_.Finish(source.status());
    source_ = *std::move(source);
    SendNext();
  });
}

void SingleRequestHandler::OnRequestsEnd() {
  call_.Finish(InvalidField("request", "nothing", "one message"));
}

void SingleRequestHandler::OnWritten() {
  context_.io->Submit([this, keep = call_.shared_from_this()] { SendNext(); });
}

void SingleRequestHandler::SendNext() {
  if (call_.cancelled()) return;
  const auto next = source_();
  if (!next.ok()) return call_.Finish(next.status());
  if (!next->has_value()) return call_.Finish(absl::OkStatus());
  context_.metrics->AddBytes(rpc_, 0, (*next)->Length());
  call_.Write(**next);
}

void SingleRequestHandler::OnFinish(const absl::Status& status) {
  context_.metrics->CallFinished(rpc_, status.code());
}

}  // namespace timbre
