#include "server/service/build_rpc.h"

#include <atomic>
#include <mutex>
#include <utility>

#include "server/base/log.h"
#include "server/service/admission.h"
#include "server/service/build_progress.h"
#include "server/service/build_session.h"
#include "server/service/message_codec.h"
#include "server/service/rpc_handler.h"
#include "server/service/version_message.h"

namespace timbre {
namespace {

// So long after the last message of a Search or Blend, builds leave them room.
constexpr absl::Duration kSearchesLinger = absl::Seconds(2);
// How long a client that half-closed may take to read a progress message
// before it counts as one that does not read.
constexpr absl::Duration kPatience = absl::Seconds(5);

// Frames are received on I/O threads, one message at a time; the build itself
// waits its turn for a builder thread.
class BuildHandler : public RpcHandler, private BuildObserver {
 public:
  BuildHandler(Call& call, ServiceContext& context)
      : RpcHandler(call, context, Rpc::kBuild),
        progress_(call, *context.metrics),
        session_(std::make_shared<BuildSession>(context)) {}

  ~BuildHandler() override {
    context().ticker->Remove(&progress_);
    DropSession();
  }

  void OnStart() override {
    context().ticker->Add(&progress_, call().shared_from_this());
    RpcHandler::OnStart();
  }

  void OnRequest(grpc::ByteBuffer message) override {
    context().metrics->AddBytes(Rpc::kBuild, message.Length(), 0);
    context().io->Submit(
        [this, keep = call().shared_from_this(),
         message = std::move(message)]() mutable { Receive(message); });
  }

  void OnRequestsEnd() override {
    context().io->Submit(
        [this, keep = call().shared_from_this()] { FinishReceiving(); });
  }

  void OnWritten() override { progress_.OnWritten(); }

  void OnDrain() override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      draining_ = true;
      if (training_) return;  // the drain waits for it as long as it may
    }
    call().Finish(DrainingError());
  }

  void OnEnd(const absl::Status& status) override {
    RpcHandler::OnEnd(status);
    progress_.OnCancelled();
    if (!counted_.exchange(true)) {
      context().metrics->CountBuild(
          status.code() == absl::StatusCode::kCancelled ? "cancelled"
                                                        : "failed");
      Log(LogLevel::kWarning, "build_ended",
          {{"status", absl::StatusCodeToString(status.code())},
           {"error", std::string(status.message())}});
    }
    bool training = false;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      training = training_;
    }
    // One that waits in the queue must not keep its frames on the disk.
    if (!training) DropSession();
  }

 private:
  using SessionPtr = std::shared_ptr<BuildSession>;

  // Null once the call has ended.
  SessionPtr Session() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return session_;
  }

  // Removing what was staged may take a while: not on gRPC's thread.
  void DropSession() {
    SessionPtr session;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      session.swap(session_);
    }
    if (session != nullptr) {
      context().io->Submit([session = std::move(session)] {});
    }
  }

  void Receive(grpc::ByteBuffer& message) {
    const SessionPtr session = Session();
    if (session == nullptr) return;
    v1::BuildRequest request;
    absl::Status status = ParseMessage(
        message, request, context().server_info.max_message_bytes());
    message.Clear();
    if (status.ok()) {
      status = session->Accept(request, call().Metadata("timbre-speaker"));
    }
    if (!status.ok()) return call().Finish(status);
    if (session->earlier()) {
      counted_.store(true);  // nothing was built
      return Complete(*session->earlier());
    }
    progress_.SetExpectedFrames(session->options().expected_frames());
    progress_.SetReceivedFrames(session->received());
    call().Read();
  }

  void FinishReceiving() {
    const SessionPtr session = Session();
    if (session == nullptr || session->earlier() || call().cancelled()) return;
    if (const auto status = session->CheckComplete(); !status.ok()) {
      return call().Finish(status);
    }
    // The first message that is written after the half-close: a connection
    // that was reset does not take it.
    progress_.Set(BuildStage::kQueued, 0);
    context().builders->Submit(
        [this, keep = call().shared_from_this()] { Build(); });
  }

  void Build() {
    SessionPtr session;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (draining_ || call().cancelled()) return;
      training_ = true;
      session = session_;
    }
    if (session == nullptr) return;
    if (const auto status = session->Train(*this); !status.ok()) {
      return call().Finish(status);
    }
    if (!progress_.ConfirmAlive(kPatience)) return;
    // Publishing takes locks that streams wait for: not on a background thread.
    context().io->Submit([this, keep = call().shared_from_this(), session] {
      Publish(*session);
    });
  }

  void Publish(BuildSession& session) {
    const auto published = session.Publish(*this);
    if (!published.ok()) return call().Finish(published.status());
    counted_.store(true);
    context().metrics->CountBuild("ok");
    Log(LogLevel::kInfo, "version_published",
        {{"speaker", session.options().speaker()},
         {"version", published->version},
         {"frames", published->record->manifest.frames()},
         {"index", published->record->manifest.index_factory()}});
    Complete(*published);
  }

  void Complete(const VersionInfo& version) {
    v1::BuildResponse last;
    FillVersion(version, *last.mutable_version());
    progress_.Complete(last);
  }

  // BuildObserver
  void OnProgress(BuildStage stage, double fraction) override {
    progress_.Set(stage, fraction);
  }
  bool cancelled() const override { return call().cancelled(); }

  // Niceness alone does not help against a CPU quota: searches keep a core.
  int ThreadsNow(int most) const override {
    const bool searches =
        absl::Now() - context().admission->last() < kSearchesLinger;
    return searches ? most - 1 : most;
  }

  BuildProgress progress_;
  std::atomic<bool> counted_{false};  // in timbre_builds_total

  std::mutex mutex_;
  SessionPtr session_;     // guarded by mutex_; used by one task at a time
  bool training_ = false;  // guarded by mutex_
  bool draining_ = false;  // guarded by mutex_
};

}  // namespace

std::unique_ptr<CallHandler> NewBuildHandler(Call& call,
                                             ServiceContext& context) {
  return std::make_unique<BuildHandler>(call, context);
}

}  // namespace timbre
