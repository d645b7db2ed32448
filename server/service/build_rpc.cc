#include "server/service/build_rpc.h"

#include <atomic>
#include <utility>

#include "server/base/log.h"
#include "server/service/build_progress.h"
#include "server/service/build_session.h"
#include "server/service/message_codec.h"
#include "server/service/upload_handler.h"
#include "server/service/version_message.h"

namespace timbre {
namespace {

// How long a client that half-closed may take to read a progress message
// before it counts as one that does not read.
constexpr absl::Duration kPatience = absl::Seconds(5);

class BuildHandler : public UploadHandler<BuildSession> {
 public:
  BuildHandler(Call& call, ServiceContext& context)
      : UploadHandler(call, context, Rpc::kBuild),
        progress_(call, *context.metrics) {}

  ~BuildHandler() override { context().ticker->Remove(&progress_); }

  void OnStart() override {
    context().ticker->Add(&progress_, call().shared_from_this());
    UploadHandler::OnStart();
  }

  void OnWritten() override { progress_.OnWritten(); }

  void OnEnd(const absl::Status& status) override {
    progress_.OnCancelled();
    if (!counted_.exchange(true)) {
      context().metrics->CountBuild(
          status.code() == absl::StatusCode::kCancelled ? "cancelled"
                                                        : "failed");
      Log(LogLevel::kWarning, "build_ended",
          {{"status", absl::StatusCodeToString(status.code())},
           {"error", std::string(status.message())}});
    }
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
    progress_.Set(BuildStage::kQueued, 0);
    QueueWork();
  }

  void Work(const SessionPtr& session) override {
    if (const auto status = session->Train(*this); !status.ok()) {
      return call().Finish(status);
    }
    progress_.Set(BuildStage::kPublishing, 0);
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

  void OnProgress(BuildStage stage, double fraction) override {
    progress_.Set(stage, fraction);
  }

  BuildProgress progress_;
  std::atomic<bool> counted_{false};  // in timbre_builds_total
};

}  // namespace

std::unique_ptr<CallHandler> NewBuildHandler(Call& call,
                                             ServiceContext& context) {
  return std::make_unique<BuildHandler>(call, context);
}

}  // namespace timbre
