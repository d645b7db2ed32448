// One call, driven by the thread that waits for it. Not for use outside of
// this folder.
#ifndef TIMBRE_CLIENT_CPP_CALL_H_
#define TIMBRE_CLIENT_CPP_CALL_H_

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <climits>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/cpp/connection.h"
#include "server/base/status_macros.h"

namespace timbre::client {

// What is the same for all types of messages: the call's events, and how long
// one may be silent. Not thread-safe.
class CallEvents {
 public:
  enum Event : std::uintptr_t {
    kStarted = 1,
    kHeaders,
    kWritten,
    kRead,
    kFinished
  };

  CallEvents(const Connection& connection, const std::string& speaker);
  ~CallEvents();
  CallEvents(const CallEvents&) = delete;
  CallEvents& operator=(const CallEvents&) = delete;

  grpc::ClientContext& context() { return context_; }
  grpc::CompletionQueue& queue() { return queue_; }

  // Says that an operation begins; its tag.
  void* Begin(Event event);
  bool Pending(Event event) const { return (pending_ & Bit(event)) != 0; }

  struct Done {
    Event event;
    bool ok;
  };
  // The next event. After the connection's timeout without one the call is
  // cancelled, which makes all operations end.
  Done Next();
  // What it was: the server's answer, or that there was none for so long.
  absl::Status Outcome(const grpc::Status& status) const;

 private:
  static unsigned Bit(Event event) { return 1U << event; }

  const Connection& connection_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  unsigned pending_ = 0;  // operations that have begun
  bool silent_ = false;   // cancelled because nothing came
};

// A call of any kind, since on the wire all are streams: messages out, messages
// in, a status. Not thread-safe; must not outlive `connection`.
template <typename Request, typename Response>
class Call {
 public:
  Call(const Connection& connection, const std::string& method,
       const std::string& speaker)
      : events_(connection, speaker) {
    grpc::TemplatedGenericStub<Request, Response> stub(connection.channel());
    call_ = stub.PrepareCall(&events_.context(), method, &events_.queue());
    call_->StartCall(events_.Begin(CallEvents::kStarted));
    WaitFor(CallEvents::kStarted);
    // Asked for at once, as grpcio does. Later is too late: a write that fails
    // since the stream is over cancels what is asked for behind it, and the
    // server's reason with it. Two operations must not ask for the headers.
    call_->ReadInitialMetadata(events_.Begin(CallEvents::kHeaders));
    call_->Finish(&grpc_status_, events_.Begin(CallEvents::kFinished));
  }
  ~Call() {
    if (finished_) return;
    events_.context().TryCancel();
    Finish();
  }

  // Makes it end soon, with CANCELLED.
  void Cancel() { events_.context().TryCancel(); }

  // One message, and its answer; false: the call is over.
  bool Ask(const Request& request, Response& response) {
    if (finished_ || over_) return false;
    call_->Write(request, events_.Begin(CallEvents::kWritten));
    call_->Read(&response, events_.Begin(CallEvents::kRead));
    while (events_.Pending(CallEvents::kRead) ||
           events_.Pending(CallEvents::kWritten)) {
      over_ = !events_.Next().ok || over_;
    }
    return !over_;
  }

  // As many messages as one likes before the first answer.
  static constexpr int kAnyAhead = INT_MAX;

  // Writes what `next` fills in, `bool(Request&)`, until it says that there is
  // no more, at most `most_ahead` of them before they are answered; meanwhile
  // and afterwards passes each answer to `heard`, `void(Response&)`. Returns
  // when the server has ended the call.
  template <typename NextRequest, typename Heard>
  absl::Status Run(NextRequest next, Heard heard, int most_ahead = kAnyAhead) {
    Request request;
    Response response;
    bool more = true;
    int ahead = 0;
    call_->Read(&response, events_.Begin(CallEvents::kRead));
    while (events_.Pending(CallEvents::kRead)) {
      if (more && ahead < most_ahead &&
          !events_.Pending(CallEvents::kWritten)) {
        more = next(request);
        ++ahead;
        void* const tag = events_.Begin(CallEvents::kWritten);
        more ? call_->Write(request, tag) : call_->WritesDone(tag);
      }
      const CallEvents::Done done = Hear(response, heard);
      if (done.event == CallEvents::kWritten) more = more && done.ok;
      if (done.event == CallEvents::kRead) --ahead;
    }
    Finish();
    return status_;
  }

  // The same with one message, which the half-close comes with: HAProxy resets
  // a stream that is answered before, and the reset can win over the answer's
  // status, as CANCELLED.
  template <typename Heard>
  absl::Status RunOne(const Request& request, Heard heard) {
    Response response;
    call_->Read(&response, events_.Begin(CallEvents::kRead));
    call_->WriteLast(request, grpc::WriteOptions(),
                     events_.Begin(CallEvents::kWritten));
    while (events_.Pending(CallEvents::kRead)) Hear(response, heard);
    Finish();
    return status_;
  }

  // Half-closes, drops what is still to come, and returns the status.
  absl::Status Close() {
    if (!finished_ && !over_) {
      return Run([](Request&) { return false; }, [](Response&) {});
    }
    Finish();
    return status_;
  }

 private:
  void WaitFor(CallEvents::Event event) {
    while (events_.Pending(event)) events_.Next();
  }

  // The next event. An answer is passed on, and the next one asked for.
  template <typename Heard>
  CallEvents::Done Hear(Response& response, Heard& heard) {
    const CallEvents::Done done = events_.Next();
    if (done.event == CallEvents::kRead && done.ok) {
      heard(response);
      call_->Read(&response, events_.Begin(CallEvents::kRead));
    }
    return done;
  }

  void Finish() {
    if (finished_) return;
    finished_ = true;
    WaitFor(CallEvents::kFinished);
    WaitFor(CallEvents::kHeaders);  // these end with the call
    WaitFor(CallEvents::kWritten);
    status_ = events_.Outcome(grpc_status_);
  }

  CallEvents events_;
  std::unique_ptr<grpc::ClientAsyncReaderWriter<Request, Response>> call_;
  bool over_ = false;  // the server says no more
  bool finished_ = false;
  grpc::Status grpc_status_;
  absl::Status status_;
};

// A call of one message out and one in, answered within the timeout.
template <typename Response, typename Request>
absl::StatusOr<Response> CallUnary(const Connection& connection,
                                   const std::string& method,
                                   const Request& request,
                                   const std::string& speaker) {
  TIMBRE_RETURN_IF_ERROR(connection.Await());
  Call<Request, Response> call(connection, method, speaker);
  Response answer;
  bool answered = false;
  TIMBRE_RETURN_IF_ERROR(call.RunOne(request, [&](Response& response) {
    answer = std::move(response);
    answered = true;
  }));
  if (!answered) return absl::InternalError("the call ended without an answer");
  return answer;
}

}  // namespace timbre::client

#endif  // TIMBRE_CLIENT_CPP_CALL_H_
