#include "client/load/exchange.h"

#include <utility>

namespace timbre::load {

Exchange::Exchange(grpc::GenericStub& stub, const std::string& method,
                   grpc::CompletionQueue& queue, const Payload& payload,
                   ExchangeListener& listener)
    : stub_(stub),
      method_(method),
      queue_(queue),
      payload_(payload),
      listener_(listener) {}

void Exchange::Start(const std::string& speaker) {
  context_.AddMetadata("timbre-speaker", speaker);
  // Headers go with the first message; no event says that the call started.
  context_.set_initial_metadata_corked(true);
  call_ = stub_.PrepareCall(&context_, method_, &queue_);
  call_->StartCall(nullptr);
}

bool Exchange::Send(const Message& message) {
  const MutexLock lock(mutex_);
  if (ended_) return false;
  waiting_.push_back(message);
  if (ready_) WriteNext();
  return true;
}

void Exchange::Close() {
  const MutexLock lock(mutex_);
  closing_ = true;
  if (ready_) WriteNext();
}

void Exchange::WriteNext() {
  if (ended_ || half_closed_) return;
  if (waiting_.empty()) {
    if (!closing_) return;
    half_closed_ = true;
    return call_->WritesDone(closed_.Start());
  }
  const Message message = waiting_.front();
  waiting_.pop_front();
  unanswered_.push_back(message);
  ready_ = false;
  const grpc::ByteBuffer bytes =
      first_ ? payload_.First(message.stream, message.variant)
             : payload_.Later(message.variant);
  grpc::WriteOptions options;
  if (closing_ && waiting_.empty()) {
    half_closed_ = true;
    options.set_last_message();
  }
  listener_.OnSent(message, Clock::now());
  call_->Write(bytes, options, written_.Start());
  if (!std::exchange(first_, false)) return;
  // The status is asked for at once: a write that fails since the stream is
  // over would cancel that behind it, and the server's reason with it.
  call_->ReadInitialMetadata(headers_.Start());
  call_->Finish(&status_, finished_.Start());
  call_->Read(&answer_, read_.Start());
}

void Exchange::OnWritten(bool ok) {
  const MutexLock lock(mutex_);
  ready_ = ok;
  if (ok) WriteNext();
}

void Exchange::OnRead(bool ok) {
  Message message;
  bool end = false;
  bool unasked = false;
  {
    const MutexLock lock(mutex_);
    // An answer that nobody asked for ends the call like an error.
    unasked = ok && unanswered_.empty();
    ended_ = !ok || unasked;
    end = ended_ && finished_came_;
    if (!ended_) {
      message = unanswered_.front();
      unanswered_.pop_front();
    }
  }
  if (end) return End();
  if (!ok) return;
  if (unasked) return context_.TryCancel();
  listener_.OnAnswer(message, answer_);
  call_->Read(&answer_, read_.Start());
}

void Exchange::OnFinished(bool) {
  {
    const MutexLock lock(mutex_);
    finished_came_ = true;
    if (!ended_) return;  // answers are still to be read
  }
  End();
}

void Exchange::End() {
  std::deque<Message> lost;
  {
    const MutexLock lock(mutex_);
    lost.swap(unanswered_);
    lost.insert(lost.end(), waiting_.begin(), waiting_.end());
    waiting_.clear();
  }
  for (const Message& message : lost) listener_.OnFailed(message, status_);
  listener_.OnEnd();
}

}  // namespace timbre::load
