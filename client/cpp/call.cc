#include "client/cpp/call.h"

#include "client/cpp/batches.h"

namespace timbre::client {

CallEvents::CallEvents(const Connection& connection, const std::string& speaker)
    : connection_(connection) {
  NameSpeaker(speaker, context_);
}

CallEvents::~CallEvents() {
  queue_.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {  // nothing: every operation was waited for
  }
}

void* CallEvents::Begin(Event event) {
  pending_ |= Bit(event);
  return reinterpret_cast<void*>(event);
}

CallEvents::Done CallEvents::Next() {
  void* tag = nullptr;
  bool ok = false;
  const absl::Time deadline =
      silent_ ? absl::InfiniteFuture() : absl::Now() + connection_.timeout();
  if (queue_.AsyncNext(&tag, &ok, absl::ToChronoTime(deadline)) ==
      grpc::CompletionQueue::TIMEOUT) {
    silent_ = true;
    context_.TryCancel();
    queue_.Next(&tag, &ok);
  }
  const auto event = static_cast<Event>(reinterpret_cast<std::uintptr_t>(tag));
  pending_ &= ~Bit(event);
  return {event, ok};
}

absl::Status CallEvents::Outcome(const grpc::Status& status) const {
  if (silent_ && status.error_code() == grpc::StatusCode::CANCELLED) {
    return connection_.Silent();
  }
  return connection_.Explain(status);
}

}  // namespace timbre::client
