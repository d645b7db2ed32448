// One RPC, from acceptance to its last event.
#ifndef TIMBRE_SERVER_SERVICE_TRANSPORT_CALL_H_
#define TIMBRE_SERVER_SERVICE_TRANSPORT_CALL_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/service/transport/connections.h"
#include "server/service/transport/raw_service.h"

namespace timbre {

class Call;

// What a method does with a call. The functions are called on the threads that
// poll gRPC, so they hand real work to a pool and return. At most one of
// OnRequest and OnRequestsEnd is under way at a time, and likewise OnWritten.
class CallHandler {
 public:
  virtual ~CallHandler() = default;
  // The call was accepted.
  virtual void OnStart() = 0;
  // A message that Read() asked for. Does not come any more after the end of
  // the call, but may be under way as it ends: see Call::Begin.
  virtual void OnRequest(grpc::ByteBuffer message) = 0;
  // There are no more: the client has half-closed, or the call is broken,
  // which Call::cancelled() may tell a little later.
  virtual void OnRequestsEnd() = 0;
  // Write() has been taken by the transport.
  virtual void OnWritten() {}
  // The server drains: end soon. Comes again and again until the call ends.
  virtual void OnDrain() {}
  // The call has ended with `status`: CANCELLED where the client is gone or
  // its deadline has passed. Comes once for every call, last of all events but
  // perhaps an OnRequestsEnd.
  virtual void OnEnd(const absl::Status& status) = 0;
};

// Something that comes out of a completion queue.
class CompletionTag {
 public:
  virtual ~CompletionTag() = default;
  virtual void Complete(bool ok) = 0;
};

// Lives as long as an operation is under way or somebody holds it. Functions
// are thread-safe and never block; after the end of the call they do nothing.
class Call : public std::enable_shared_from_this<Call> {
 public:
  using HandlerFactory = std::function<std::unique_ptr<CallHandler>(Call&)>;
  // Told when the call was accepted (with true) and when it goes (false).
  using Listener = std::function<void(Call*, bool)>;

  // Posts a call of method `index`: the first one that comes. What it brings is
  // counted in `connections`.
  static void Post(RawService& service, int index,
                   grpc::ServerCompletionQueue& queue, HandlerFactory factory,
                   Listener listener, Connections& connections);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // Asks for the next message: OnRequest or OnRequestsEnd follows. Not before
  // the one asked for last has come.
  void Read();
  // Sends a message: OnWritten follows, unless the call breaks. Not before the
  // last one was written.
  void Write(const grpc::ByteBuffer& message);
  // Ends the call.
  void Finish(const absl::Status& status);
  // What changes something is either done and then answered, or refused and
  // never done; which of the two functions comes first decides. Begin: whether
  // it is to be done now, which it is not where the call has ended already.
  [[nodiscard]] bool Begin();
  // Ends the call unless its work has begun.
  void Refuse(const absl::Status& status);
  // Sends the last message and ends the call well.
  void WriteAndFinish(const grpc::ByteBuffer& message);

  // Whether nobody waits for an answer any more: the client is gone, or the
  // call was ended.
  bool cancelled() const { return over_.load(); }
  // Whether Begin said so.
  bool begun() const;
  // What the client sent as initial metadata under `key`, or empty.
  absl::string_view Metadata(const std::string& key) const;
  void Drain();

 private:
  // An operation under way keeps its call alive.
  class Operation : public CompletionTag {
   public:
    Operation(Call* call, void (Call::*done)(bool))
        : call_(call), done_(done) {}
    void* Start() {
      keep_ = call_->shared_from_this();
      // gRPC's queue orders this before Complete; the flag says so to the
      // sanitizer, which does not see into gRPC.
      under_way_.store(true, std::memory_order_release);
      return static_cast<CompletionTag*>(this);
    }
    void Complete(bool ok) override {
      under_way_.exchange(false, std::memory_order_acq_rel);
      const std::shared_ptr<Call> call = std::move(keep_);
      (call_->*done_)(ok);
    }

   private:
    Call* const call_;
    void (Call::*const done_)(bool);
    std::shared_ptr<Call> keep_;
    std::atomic<bool> under_way_{false};
  };

  Call(RawService& service, int index, grpc::ServerCompletionQueue& queue,
       HandlerFactory factory, Listener listener, Connections& connections);

  void OnAccepted(bool ok);
  void OnReadDone(bool ok);
  void OnWriteDone(bool ok);
  void OnEnd(bool ok);
  void Ignore(bool) {}
  // Whether the status is to be sent: nobody was faster.
  bool StartFinishing(const absl::Status& status);
  void SendStatus(const absl::Status& status);

  // Constant after construction.
  RawService& service_;
  const int index_;
  grpc::ServerCompletionQueue& queue_;
  const HandlerFactory factory_;
  const Listener listener_;
  Connections& connections_;

  grpc::ServerContext context_;
  RawStream stream_{&context_};
  grpc::ByteBuffer incoming_;
  Operation accepted_{this, &Call::OnAccepted};
  Operation started_{this, &Call::Ignore};
  Operation read_{this, &Call::OnReadDone};
  Operation written_{this, &Call::OnWriteDone};
  Operation finished_{this, &Call::Ignore};
  Operation ended_{this, &Call::OnEnd};

  // Set once, like the next, before the first event of the call.
  std::shared_ptr<ConnectionUse> connection_;
  absl::Time accepted_at_;

  // Written under mutex_; read without where being late does no harm.
  std::atomic<bool> over_{false};
  std::atomic<bool> answered_{false};  // with a message at least
  mutable Mutex mutex_;
  bool begun_ ABSL_GUARDED_BY(mutex_) = false;
  // What the server ended the call with.
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  // Set once, before the first event reaches it.
  std::unique_ptr<CallHandler> handler_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_TRANSPORT_CALL_H_
