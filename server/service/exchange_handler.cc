#include "server/service/exchange_handler.h"

#include <utility>

#include "server/base/errors.h"
#include "server/service/message_codec.h"

namespace timbre {

WorkerScratch& ThisWorkersScratch() {
  thread_local WorkerScratch scratch;
  return scratch;
}

absl::Status DrainingError() {
  return MakeRetryableError(absl::StatusCode::kUnavailable, "DRAINING",
                            "the server is shutting down; try again",
                            absl::Seconds(1));
}

void ExchangeHandler::OnStart() {
  context_.metrics->CallStarted(rpc_);
  call_.Read();
}

void ExchangeHandler::OnRequest(grpc::ByteBuffer message) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    busy_ = true;
  }
  const absl::Time received = absl::Now();
  context_.metrics->AddBytes(rpc_, message.Length(), 0);
  context_.workers->Submit(
      [this, keep = call_.shared_from_this(), message = std::move(message),
       received]() mutable { Process(message, received); });
}

void ExchangeHandler::Process(grpc::ByteBuffer& message, absl::Time received) {
  if (call_.cancelled()) return;
  absl::Status status;
  {
    const StageTimer timer(*context_.metrics, rpc_, Stage::kDecode);
    status = Parse(message);
  }
  if (!status.ok()) return call_.Finish(status);
  if (!pin_.pinned()) {
    Lease lease =
        context_.catalog->FindLoaded(pin_.speaker(), pin_.wanted_version());
    if (lease == nullptr) return Open(received);
    pin_.Pin(std::move(lease));
  }
  Respond(received);
}

void ExchangeHandler::Open(absl::Time received) {
  context_.io->Submit([this, keep = call_.shared_from_this(), received] {
    auto lease =
        context_.catalog->Acquire(pin_.speaker(), pin_.wanted_version());
    if (!lease.ok()) return call_.Finish(lease.status());
    pin_.Pin(*std::move(lease));
    context_.workers->Submit([this, keep, received] { Respond(received); });
  });
}

void ExchangeHandler::Respond(absl::Time received) {
  if (call_.cancelled()) return;
  const absl::StatusOr<Answer> answer = Reply();
  if (!answer.ok()) return call_.Finish(answer.status());
  context_.metrics->ObserveMessage(rpc_, answer->nprobe_label, answer->rows,
                                   absl::Now() - received);
  context_.metrics->AddFrames(rpc_, answer->rows);
  context_.metrics->AddBytes(rpc_, 0, answer->message.Length());
  call_.Write(answer->message);
}

void ExchangeHandler::OnWritten() { AskForMore(); }

void ExchangeHandler::AskForMore() {
  bool drained = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    busy_ = false;
    drained = draining_;
  }
  if (drained) return call_.Finish(DrainingError());
  call_.Read();
}

void ExchangeHandler::OnRequestsEnd() { call_.Finish(absl::OkStatus()); }

void ExchangeHandler::OnDrain() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    draining_ = true;
    if (busy_) return;  // ends after its answer
  }
  call_.Finish(DrainingError());
}

void ExchangeHandler::OnFinish(const absl::Status& status) {
  context_.metrics->CallFinished(rpc_, status.code());
}

}  // namespace timbre
