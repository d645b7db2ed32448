#include <atomic>
#include <utility>

#include "server/base/log.h"
#include "server/base/monotonic_clock.h"
#include "server/base/status_macros.h"
#include "server/service/contract/version_message.h"
#include "server/service/transport/message_codec.h"
#include "server/service/upload/build_progress.h"
#include "server/service/upload/build_session.h"
#include "server/service/upload/handlers.h"
#include "server/service/upload/upload_handler.h"

namespace timbre {
namespace {

// How long a client that half-closed may take to read a progress message
// before it counts as one that does not read.
constexpr absl::Duration kPatience = absl::Seconds(5);

class BuildHandler : public UploadHandler<BuildSession> {
 public:
  BuildHandler(Call& call, ServiceContext& context, ProgressTicker& ticker)
      : UploadHandler(call, context, Rpc::kBuild),
        ticker_(ticker),
        progress_(call, *context.metrics) {}

  ~BuildHandler() override { ticker_.Remove(&progress_); }

  void OnStart() override {
    ticker_.Add(&progress_, call().shared_from_this());
    UploadHandler::OnStart();
  }

  void OnWritten() override { progress_.OnWritten(); }

  void OnEnd(const absl::Status& status) override {
    progress_.OnCancelled();
    // What has begun to be published counts as what comes of that, also where
    // the client goes meanwhile.
    if (!call().begun()) CountFailure(status);
    UploadHandler::OnEnd(status);
  }

 private:
  void Accepted(BuildSession& session) override {
    if (session.earlier()) {
      counted_.store(true);  // nothing was built
      return Complete(*session.earlier());
    }
    progress_.SetExpectedFrames(session.options().expected_frames());
    progress_.SetReceivedFrames(session.received());
    call().Read();
  }

  void FinishReceiving(BuildSession& session) override {
    if (session.earlier()) return;
    if (const auto status = session.CheckComplete(); !status.ok()) {
      return call().Finish(status);
    }
    // The first message that is written after the half-close: a connection
    // that was reset does not take it.
    progress_.Begin(BuildStage::kQueued, MonotonicNow());
    QueueWork();
  }

  absl::Status Work(BuildSession& session) override {
    TIMBRE_RETURN_IF_ERROR(session.Train(*this));
    HandOver([this, now = MonotonicNow()] {
      progress_.Begin(BuildStage::kPublishing, now);
      progress_.Confirm();
    });
    return progress_.AwaitConfirmation(kPatience);
  }

  void Conclude(BuildSession& session) override {
    const auto published = session.Publish([this] { return !call().Begin(); });
    if (!published.ok()) {
      if (call().begun()) CountFailure(published.status());
      return call().Finish(published.status());
    }
    if (Counts()) context().metrics->CountBuild("ok");
    Log(LogLevel::kInfo, "version_published",
        {{"speaker", session.options().speaker()},
         {"version", published->version},
         {"frames", published->record->manifest.frames()},
         {"index", published->record->manifest.index_factory()}});
    Complete(*published);
  }

  // Whether this is the first outcome: each Build has one.
  bool Counts() { return !counted_.exchange(true); }

  void CountFailure(const absl::Status& status) {
    if (!Counts()) return;
    context().metrics->CountBuild(
        status.code() == absl::StatusCode::kCancelled ? "cancelled" : "failed");
    Log(LogLevel::kWarning, "build_ended",
        {{"status", absl::StatusCodeToString(status.code())},
         {"error", std::string(status.message())}});
  }

  void Complete(const VersionInfo& version) {
    v1::BuildResponse last;
    FillVersion(version, *last.mutable_version());
    progress_.Complete(last);
  }

  // On the build's own thread.
  void OnProgress(BuildStage stage, double fraction) override {
    progress_.Advance(stage, fraction);
    if (stage == reached_) return;
    reached_ = stage;
    HandOver(
        [this, stage, now = MonotonicNow()] { progress_.Begin(stage, now); });
  }

  ProgressTicker& ticker_;
  BuildProgress progress_;
  BuildStage reached_ = BuildStage::kQueued;
  std::atomic<bool> counted_{false};  // in timbre_builds_total
};

}  // namespace

std::unique_ptr<CallHandler> NewBuildHandler(Call& call,
                                             ServiceContext& context,
                                             ProgressTicker& ticker) {
  return std::make_unique<BuildHandler>(call, context, ticker);
}

}  // namespace timbre
