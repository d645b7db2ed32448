#include "server/service/build_rpc.h"

#include <atomic>
#include <mutex>
#include <utility>

#include "server/base/log.h"
#include "server/service/build_progress.h"
#include "server/service/build_session.h"
#include "server/service/exchange_handler.h"
#include "server/service/message_codec.h"
#include "server/service/version_message.h"

namespace timbre {
namespace {

// How long a client that half-closed may take to read a progress message
// before it counts as one that does not read.
constexpr absl::Duration kPatience = absl::Seconds(5);

// Frames are received on I/O threads, one message at a time; the build itself
// waits its turn for a builder thread.
class BuildHandler : public CallHandler, private BuildObserver {
 public:
  BuildHandler(Call& call, ServiceContext& context)
      : call_(call),
        context_(context),
        session_(context),
        progress_(call, *context.metrics) {}

  ~BuildHandler() override { context_.ticker->Remove(&progress_); }

  void OnStart() override {
    context_.metrics->CallStarted(Rpc::kBuild);
    context_.ticker->Add(&progress_, call_.shared_from_this());
    call_.Read();
  }

  void OnRequest(grpc::ByteBuffer message) override {
    context_.metrics->AddBytes(Rpc::kBuild, message.Length(), 0);
    context_.io->Submit(
        [this, keep = call_.shared_from_this(),
         message = std::move(message)]() mutable { Receive(message); });
  }

  void OnRequestsEnd() override {
    context_.io->Submit(
        [this, keep = call_.shared_from_this()] { FinishReceiving(); });
  }

  void OnWritten() override { progress_.OnWritten(); }

  void OnDrain() override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      draining_ = true;
      if (building_) return;  // the drain waits for it as long as it may
    }
    call_.Finish(DrainingError());
  }

  void OnFinish(const absl::Status& status) override {
    context_.metrics->CallFinished(Rpc::kBuild, status.code());
    const bool cancelled = status.code() == absl::StatusCode::kCancelled;
    context_.metrics->CountBuild(status.ok() ? "ok"
                                 : cancelled ? "cancelled"
                                             : "failed");
    if (!status.ok()) {
      Log(LogLevel::kWarning, "build_ended",
          {{"status", absl::StatusCodeToString(status.code())},
           {"error", std::string(status.message())}});
    }
  }

 private:
  void Receive(grpc::ByteBuffer& message) {
    v1::BuildRequest request;
    absl::Status status = ParseMessage(message, request);
    message.Clear();
    if (status.ok()) {
      status = session_.Accept(request, call_.Metadata("timbre-speaker"));
    }
    if (!status.ok()) return call_.Finish(status);
    if (session_.earlier()) return Complete(*session_.earlier());
    progress_.SetExpectedFrames(session_.options().expected_frames());
    progress_.SetReceivedFrames(session_.received());
    call_.Read();
  }

  void FinishReceiving() {
    if (call_.cancelled()) return;
    if (const auto status = session_.CheckComplete(); !status.ok()) {
      return call_.Finish(status);
    }
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      building_ = !draining_;
    }
    if (!building_) return call_.Finish(DrainingError());
    // The first message that is written after the half-close: a connection
    // that was reset does not take it.
    progress_.Set(BuildStage::kQueued, 0);
    context_.builders->Submit(
        [this, keep = call_.shared_from_this()] { Build(); });
  }

  void Build() {
    if (call_.cancelled()) return;
    if (const auto status = session_.Train(*this); !status.ok()) {
      return call_.Finish(status);
    }
    if (!progress_.ConfirmAlive(kPatience)) return;
    const auto published = session_.Publish();
    if (!published.ok()) return call_.Finish(published.status());
    Log(LogLevel::kInfo, "version_published",
        {{"speaker", session_.options().speaker()},
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
  bool cancelled() const override { return call_.cancelled(); }

  Call& call_;
  ServiceContext& context_;
  BuildSession session_;  // used by one task at a time
  BuildProgress progress_;

  std::mutex mutex_;
  bool building_ = false;  // half-closed; guarded by mutex_ until then
  bool draining_ = false;  // guarded by mutex_
};

}  // namespace

std::unique_ptr<CallHandler> NewBuildHandler(Call& call,
                                             ServiceContext& context) {
  return std::make_unique<BuildHandler>(call, context);
}

}  // namespace timbre
