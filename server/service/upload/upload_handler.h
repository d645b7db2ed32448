// Calls that first take frames and then work on them for long: Build and Tune.
#ifndef TIMBRE_SERVER_SERVICE_UPLOAD_UPLOAD_HANDLER_H_
#define TIMBRE_SERVER_SERVICE_UPLOAD_UPLOAD_HANDLER_H_

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "server/base/large_work.h"
#include "server/base/monotonic_clock.h"
#include "server/base/mutex.h"
#include "server/catalog/open/voice_opener.h"
#include "server/engine/train/build_observer.h"
#include "server/service/rpc/admission.h"
#include "server/service/rpc/rpc_handler.h"
#include "server/service/transport/inflate.h"
#include "server/service/transport/message_codec.h"

namespace timbre {

// Messages (Session::Request) are received on I/O threads, one at a time, and
// accepted by the session; the work itself waits its turn for a builder thread.
// `Session` holds what was uploaded; destroying it may take a while, so it goes
// on an I/O thread, as soon as nobody works with it.
template <typename Session>
class UploadHandler : public RpcHandler, protected BuildObserver {
 public:
  UploadHandler(Call& call, ServiceContext& context, Rpc rpc)
      : RpcHandler(call, context, rpc),
        session_(std::make_shared<Session>(context)) {}
  ~UploadHandler() override { DropSession(); }

  void OnRequest(grpc::ByteBuffer message) override {
    context().metrics->AddBytes(rpc(), message.Length(), 0);
    auto receive = [this, keep = call().shared_from_this(),
                    message = std::move(message)]() mutable {
      if (const SessionPtr session = Held()) Receive(*session, message);
    };
    // Whoever waits for a voice to be opened keeps nobody from I/O.
    const bool opens = Session::kOpensVoice && std::exchange(first_, false);
    if (!opens) return context().io->Submit(std::move(receive));
    if (!context().opener->Run(std::move(receive))) {
      call().Finish(DrainingError());
    }
  }

  void OnRequestsEnd() override {
    context().io->Submit([this, keep = call().shared_from_this()] {
      const SessionPtr session = Held();
      if (session != nullptr && !call().cancelled()) FinishReceiving(*session);
    });
  }

  void OnDrain() override {
    {
      const MutexLock lock(mutex_);
      draining_ = true;
      if (working_) return;  // the drain waits for it as long as it may
    }
    call().Finish(DrainingError());
  }

  void OnEnd(const absl::Status& status) override {
    RpcHandler::OnEnd(status);
    bool working = false;
    {
      const MutexLock lock(mutex_);
      working = working_;
    }
    // One that waits in the queue must not keep its frames on the disk.
    if (!working) DropSession();
  }

 protected:
  using SessionPtr = std::shared_ptr<Session>;

  // A message was accepted: asks for the next one.
  virtual void Accepted(Session&) { call().Read(); }
  virtual void FinishReceiving(Session& session) = 0;
  // The long part, on a builder thread: takes no locks (background_pool.h).
  virtual absl::Status Work(Session& session) = 0;
  // After Work went well, on an I/O thread: makes what came of it last, and
  // answers.
  virtual void Conclude(Session& session) = 0;

  void QueueWork() {
    context().builders->Submit(
        [this, keep = call().shared_from_this()]() -> BackgroundPool::Work {
          SessionPtr session = StartWork();
          if (session == nullptr) return nullptr;
          return [this, keep, session = std::move(session)] {
            HandOver([this, session, status = Work(*session)] {
              EndWork(session, status);
            });
          };
        });
  }

  // From Work: what takes locks, or talks to the client.
  void HandOver(std::function<void()> task) {
    context().builders->HandOver(
        [keep = call().shared_from_this(), task = std::move(task)] { task(); });
  }

  // BuildObserver
  void OnProgress(BuildStage, double) override {}
  bool cancelled() const override { return call().cancelled(); }
  // Searches keep a processor, and one of the cgroup's quota: priorities do not
  // help where that is used up.
  double CpusNow(int most) const override {
    // So long after the last message of a Search or Blend they have room left.
    constexpr absl::Duration kSearchesLinger = absl::Seconds(2);
    constexpr double kMinCpus = 0.1;  // so that a build ends some day
    if (MonotonicNow() - context().admission->last() >= kSearchesLinger) {
      return most;
    }
    return std::min<double>(
        std::max(1, most - 1),
        std::max(kMinCpus, context().build_limits.cpu_quota - 1));
  }

 private:
  void Receive(Session& session, grpc::ByteBuffer& message) {
    typename Session::Request request;
    const uint64_t most = context().server_info.max_message_bytes();
    absl::Status status = Inflate(message, most);
    // Where it was refused, up to all of that had been inflated.
    context().large_work->Saw(status.ok() ? message.Length() : most);
    if (status.ok()) status = ParseMessage(message, request, most);
    message.Clear();
    if (status.ok()) {
      status = session.Accept(request, call().Metadata("timbre-speaker"),
                              [this] { return cancelled(); });
    }
    if (!status.ok()) return call().Finish(status);
    Accepted(session);
  }

  // Null once the call has ended.
  SessionPtr Held() {
    const MutexLock lock(mutex_);
    return session_;
  }

  SessionPtr StartWork() {
    const MutexLock lock(mutex_);
    if (draining_ || call().cancelled()) return nullptr;
    working_ = true;
    return session_;
  }

  void EndWork(const SessionPtr& session, const absl::Status& status) {
    if (!status.ok()) return call().Finish(status);
    context().io->Submit([this, keep = call().shared_from_this(), session] {
      Conclude(*session);
    });
  }

  void DropSession() {
    SessionPtr session;
    {
      const MutexLock lock(mutex_);
      session.swap(session_);
    }
    if (session != nullptr) {
      context().io->Submit([session = std::move(session)] {});
    }
  }

  bool first_ = true;  // the message that comes next
  Mutex mutex_;
  // The pointer; what it points to is used by one task at a time.
  SessionPtr session_ ABSL_GUARDED_BY(mutex_);
  bool working_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_UPLOAD_UPLOAD_HANDLER_H_
