// One call of Search or Blend, as the load generator makes it.
#ifndef TIMBRE_CLIENT_LOAD_EXCHANGE_H_
#define TIMBRE_CLIENT_LOAD_EXCHANGE_H_

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <deque>
#include <memory>
#include <string>

#include "client/load/payload.h"
#include "server/base/mutex.h"

namespace timbre::load {

using Clock = std::chrono::steady_clock;

// A message on its way.
struct Message {
  Clock::time_point due;
  uint32_t stream = 0;   // of the group
  uint32_t variant = 0;  // of the payload
};

// What becomes of the messages. Called on the thread that polls the queue, but
// for OnSent, which also comes from within Send.
class ExchangeListener {
 public:
  virtual ~ExchangeListener() = default;
  virtual void OnSent(const Message& message, Clock::time_point sent) = 0;
  virtual void OnAnswer(const Message& message, grpc::ByteBuffer& answer) = 0;
  // The call has ended, and this message has no answer.
  virtual void OnFailed(const Message& message, const grpc::Status& status) = 0;
  // After everything else.
  virtual void OnEnd() = 0;
};

// Something that comes out of the queue.
class Event {
 public:
  virtual ~Event() = default;
  virtual void Complete(bool ok) = 0;
};

// Send and Close are thread-safe and do not block. Lives until gRPC has
// returned its last event.
class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  Exchange(grpc::GenericStub& stub, const std::string& method,
           grpc::CompletionQueue& queue, const Payload& payload,
           ExchangeListener& listener);
  // Once, before anything else. Nothing goes out before the first Send.
  void Start(const std::string& speaker);
  // Messages go in order; one that cannot be written yet waits. False: the
  // call has ended, and the message was not taken.
  bool Send(const Message& message);
  // Half-closes once everything is written.
  void Close();
  void Cancel() { context_.TryCancel(); }

 private:
  class Operation : public Event {
   public:
    Operation(Exchange* exchange, void (Exchange::*done)(bool))
        : exchange_(exchange), done_(done) {}
    void* Start() {
      keep_ = exchange_->shared_from_this();
      return static_cast<Event*>(this);
    }
    void Complete(bool ok) override {
      const std::shared_ptr<Exchange> keep = std::move(keep_);
      (exchange_->*done_)(ok);
    }

   private:
    Exchange* const exchange_;
    void (Exchange::*const done_)(bool);
    std::shared_ptr<Exchange> keep_;
  };

  void OnWritten(bool ok);
  void OnRead(bool ok);
  void OnFinished(bool ok);
  void Ignore(bool) {}
  void End();  // once both have come
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  grpc::GenericStub& stub_;
  const std::string method_;
  grpc::CompletionQueue& queue_;
  const Payload& payload_;
  ExchangeListener& listener_;

  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  Operation written_{this, &Exchange::OnWritten};
  Operation closed_{this, &Exchange::Ignore};
  Operation headers_{this, &Exchange::Ignore};
  Operation read_{this, &Exchange::OnRead};
  Operation finished_{this, &Exchange::OnFinished};
  grpc::ByteBuffer answer_;
  grpc::Status status_;

  Mutex mutex_;
  std::deque<Message> waiting_ ABSL_GUARDED_BY(mutex_);  // not written yet
  // Written, or being written.
  std::deque<Message> unanswered_ ABSL_GUARDED_BY(mutex_);
  bool ready_ ABSL_GUARDED_BY(mutex_) = true;     // no write is under way
  bool first_ ABSL_GUARDED_BY(mutex_) = true;     // nothing was written yet
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;  // Close was called
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;  // no more answers will be read
  bool finished_came_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace timbre::load

#endif  // TIMBRE_CLIENT_LOAD_EXCHANGE_H_
