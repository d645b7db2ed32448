#include "client/cpp/client.h"

#include <utility>

#include "client/cpp/batches.h"
#include "client/cpp/call.h"
#include "client/cpp/connection.h"
#include "grpc/health/v1/health.pb.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"

namespace timbre::client {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

std::string CatalogMethod(const char* name) {
  return std::string("/timbre.v1.Catalog/") + name;
}

// The messages of a build. What could not be read must not look finished, which
// a half-close would: options in the middle of a build are refused.
class BuildMessages {
 public:
  BuildMessages(const v1::BuildOptions& options,
                const Client::FrameSource& frames)
      : options_(options), source_(frames) {}

  bool Next(v1::BuildRequest& request) {
    if (!begun_) {
      begun_ = true;
      *request.mutable_options() = options_;
      return true;
    }
    while (!batches_ || !batches_->Next(*request.mutable_frames())) {
      if (!status_.ok()) return false;
      auto next = source_();
      status_ = next.status();
      if (!status_.ok()) {
        *request.mutable_options() = options_;
        return true;
      }
      if (!next->has_value()) return false;
      frames_ = **std::move(next);
      batches_.emplace(frames_, kAnyRows);
    }
    return true;
  }

  // Of the source.
  const absl::Status& status() const { return status_; }

 private:
  const v1::BuildOptions& options_;
  const Client::FrameSource& source_;
  bool begun_ = false;
  FrameMatrix frames_;
  std::optional<Batches> batches_;  // of frames_
  absl::Status status_;
};

}  // namespace

Client::Client(const std::string& server, absl::Duration timeout)
    : connection_(std::make_shared<Connection>(server, timeout)) {}

Client::~Client() = default;

absl::StatusOr<v1::SpeakerVersion> Client::Build(
    const v1::BuildOptions& options, const FrameSource& frames,
    const OnProgress& progress) {
  TIMBRE_RETURN_IF_ERROR(connection_->Await());
  Call<v1::BuildRequest, v1::BuildResponse> call(
      *connection_, "/timbre.v1.Retrieval/Build", options.speaker());
  std::optional<v1::SpeakerVersion> version;
  BuildMessages messages(options, frames);
  const absl::Status status = call.Run(
      [&](v1::BuildRequest& request) { return messages.Next(request); },
      [&](const v1::BuildResponse& response) {
        if (response.has_version()) version = response.version();
        if (response.has_progress()) progress(response.progress());
      });
  TIMBRE_RETURN_IF_ERROR(messages.status());
  TIMBRE_RETURN_IF_ERROR(status);
  if (!version) return absl::InternalError("the build ended without a version");
  return *std::move(version);
}

absl::StatusOr<v1::TuneResponse> Client::Tune(const VoiceRef& voice,
                                              const TuneOptions& options,
                                              const FrameMatrix& frames) {
  TIMBRE_RETURN_IF_ERROR(connection_->Await());
  Call<v1::TuneRequest, v1::TuneResponse> call(
      *connection_, CatalogMethod("Tune"), voice.speaker);
  v1::TuneRequest first;
  first.set_speaker(voice.speaker);
  first.set_version(voice.version);
  first.set_k(options.k);
  first.set_target_recall(options.target_recall);
  first.set_apply(options.apply);
  Batches batches(frames, kAnyRows);
  std::optional<v1::TuneResponse> answer;
  TIMBRE_RETURN_IF_ERROR(call.Run(
      [&](v1::TuneRequest& request) {
        // The first message alone says what is wanted.
        request = std::exchange(first, v1::TuneRequest());
        return batches.Next(*request.mutable_frames());
      },
      [&](v1::TuneResponse& response) { answer = std::move(response); }));
  if (!answer) return absl::InternalError("the call ended without an answer");
  return *std::move(answer);
}

absl::StatusOr<std::vector<v1::Speaker>> Client::ListSpeakers(
    const std::string& prefix) {
  std::vector<v1::Speaker> speakers;
  v1::ListSpeakersRequest request;
  request.set_prefix(prefix);
  request.set_page_size(1000);
  do {
    TIMBRE_ASSIGN_OR_RETURN(
        v1::ListSpeakersResponse page,
        CallUnary<v1::ListSpeakersResponse>(
            *connection_, CatalogMethod("ListSpeakers"), request, ""));
    for (auto& speaker : *page.mutable_speakers()) {
      speakers.push_back(std::move(speaker));
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return speakers;
}

absl::StatusOr<v1::Speaker> Client::GetSpeaker(const std::string& speaker) {
  v1::GetSpeakerRequest request;
  request.set_speaker(speaker);
  return CallUnary<v1::Speaker>(*connection_, CatalogMethod("GetSpeaker"),
                                request, speaker);
}

absl::StatusOr<v1::Speaker> Client::ActivateVersion(const VoiceRef& voice) {
  v1::ActivateVersionRequest request;
  request.set_speaker(voice.speaker);
  request.set_version(voice.version);
  return CallUnary<v1::Speaker>(*connection_, CatalogMethod("ActivateVersion"),
                                request, voice.speaker);
}

absl::StatusOr<v1::Speaker> Client::DeleteVersion(const VoiceRef& voice) {
  v1::DeleteVersionRequest request;
  request.set_speaker(voice.speaker);
  request.set_version(voice.version);
  return CallUnary<v1::Speaker>(*connection_, CatalogMethod("DeleteVersion"),
                                request, voice.speaker);
}

absl::Status Client::DeleteSpeaker(const std::string& speaker) {
  v1::DeleteSpeakerRequest request;
  request.set_speaker(speaker);
  return CallUnary<v1::DeleteSpeakerResponse>(
             *connection_, CatalogMethod("DeleteSpeaker"), request, speaker)
      .status();
}

absl::Status Client::Verify(const std::string& speaker,
                            const OnVerified& heard) {
  TIMBRE_RETURN_IF_ERROR(connection_->Await());
  v1::VerifyRequest request;
  request.set_speaker(speaker);
  Call<v1::VerifyRequest, v1::VerifyResponse> call(
      *connection_, CatalogMethod("Verify"), speaker);
  absl::Status taken;
  const absl::Status status =
      call.RunOne(request, [&](const v1::VerifyResponse& response) {
        if (!taken.ok()) return;
        taken = heard(response);
        if (!taken.ok()) call.Cancel();
      });
  TIMBRE_RETURN_IF_ERROR(taken);
  return status;
}

absl::StatusOr<v1::ServerInfo> Client::GetServerInfo() {
  return CallUnary<v1::ServerInfo>(*connection_, CatalogMethod("GetServerInfo"),
                                   v1::GetServerInfoRequest(), "");
}

absl::StatusOr<bool> Client::CheckHealth() {
  const auto answer = CallUnary<HealthCheckResponse>(
      *connection_, "/grpc.health.v1.Health/Check", HealthCheckRequest(), "");
  // gRPC 1.51's last word on calls that come while a server shuts down.
  if (absl::IsCancelled(answer.status())) return false;
  TIMBRE_RETURN_IF_ERROR(answer.status());
  return answer->status() == HealthCheckResponse::SERVING;
}

absl::StatusOr<FrameMatrix> Client::ReadFrames(const VoiceRef& voice,
                                               uint64_t first_id,
                                               uint64_t count) {
  v1::ReadFramesRequest request;
  request.set_speaker(voice.speaker);
  request.set_version(voice.version);
  request.set_first_id(first_id);
  request.set_count(count);
  return Receive(request);
}

absl::StatusOr<FrameMatrix> Client::ReadFramesById(
    const VoiceRef& voice, const std::vector<uint64_t>& ids) {
  if (ids.empty()) return FrameMatrix();  // on the wire: all of them
  v1::ReadFramesRequest request;
  request.set_speaker(voice.speaker);
  request.set_version(voice.version);
  request.mutable_ids()->Add(ids.begin(), ids.end());
  return Receive(request);
}

absl::StatusOr<FrameMatrix> Client::Receive(
    const v1::ReadFramesRequest& request) {
  TIMBRE_RETURN_IF_ERROR(connection_->Await());
  Call<v1::ReadFramesRequest, v1::ReadFramesResponse> call(
      *connection_, CatalogMethod("ReadFrames"), request.speaker());
  FrameMatrix frames;
  TIMBRE_RETURN_IF_ERROR(
      call.RunOne(request, [&](const v1::ReadFramesResponse& response) {
        AppendFrames(response.frames(), frames.data);
        frames.columns = response.frames().dimension();
      }));
  if (frames.columns > 0) frames.rows = frames.data.size() / frames.columns;
  return frames;
}

absl::Status Client::Export(const VoiceRef& voice, v1::ExportFormat format,
                            const OnChunk& chunk) {
  TIMBRE_RETURN_IF_ERROR(connection_->Await());
  v1::ExportRequest request;
  request.set_speaker(voice.speaker);
  request.set_version(voice.version);
  request.set_format(format);
  Call<v1::ExportRequest, v1::ExportResponse> call(
      *connection_, CatalogMethod("Export"), voice.speaker);
  absl::Status written;
  const absl::Status status =
      call.RunOne(request, [&](const v1::ExportResponse& response) {
        if (!written.ok()) return;
        written = chunk(response.chunk());
        if (!written.ok()) call.Cancel();
      });
  TIMBRE_RETURN_IF_ERROR(written);
  return status;
}

}  // namespace timbre::client
