#include "server/service/exchange_handler.h"

#include <utility>

namespace timbre {

WorkerScratch& ThisWorkersScratch() {
  thread_local WorkerScratch scratch;
  return scratch;
}

void ExchangeHandler::OnRequest(grpc::ByteBuffer message) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    busy_ = true;
  }
  const absl::Time received = absl::Now();
  context().metrics->AddBytes(rpc(), message.Length(), 0);
  context().workers->Submit(
      [this, keep = call().shared_from_this(), message = std::move(message),
       received]() mutable { Process(message, received); });
}

void ExchangeHandler::Process(grpc::ByteBuffer& message, absl::Time received) {
  if (call().cancelled()) return;
  const absl::Time start = absl::Now();
  const absl::Status status = Parse(message);
  parsing_time_ = absl::Now() - start;
  if (!status.ok()) return call().Finish(status);
  if (!pin_.pinned()) {
    Lease lease =
        context().catalog->FindLoaded(pin_.speaker(), pin_.wanted_version());
    if (lease == nullptr) return Open(received);
    pin_.Pin(std::move(lease));
  }
  Respond(received);
}

void ExchangeHandler::Open(absl::Time received) {
  context().io->Submit([this, keep = call().shared_from_this(), received] {
    auto lease =
        context().catalog->Acquire(pin_.speaker(), pin_.wanted_version());
    if (!lease.ok()) return call().Finish(lease.status());
    pin_.Pin(*std::move(lease));
    context().workers->Submit([this, keep, received] { Respond(received); });
  });
}

void ExchangeHandler::Respond(absl::Time received) {
  if (call().cancelled()) return;
  const absl::StatusOr<Answer> answer = Reply();
  if (!answer.ok()) return call().Finish(answer.status());
  context().metrics->ObserveMessage(rpc(), answer->nprobe_label, answer->rows,
                                    absl::Now() - received);
  context().metrics->AddFrames(rpc(), answer->rows);
  context().metrics->AddBytes(rpc(), 0, answer->message.Length());
  call().Write(answer->message);
}

absl::Status ExchangeHandler::Decode(const v1::Frames& frames,
                                     FrameBatch& batch) {
  const absl::Time start = absl::Now();
  absl::Status status = DecodeFrames(frames, pin_.version().index->dimension(),
                                     *context().kernels, batch);
  context().metrics->ObserveStage(rpc(), Stage::kDecode,
                                  parsing_time_ + (absl::Now() - start));
  return status;
}

void ExchangeHandler::OnWritten() {
  bool drained = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    busy_ = false;
    drained = draining_;
  }
  if (drained) return call().Finish(DrainingError());
  call().Read();
}

void ExchangeHandler::OnRequestsEnd() { call().Finish(absl::OkStatus()); }

void ExchangeHandler::OnDrain() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    draining_ = true;
    if (busy_) return;  // ends after its answer
  }
  call().Finish(DrainingError());
}

}  // namespace timbre
