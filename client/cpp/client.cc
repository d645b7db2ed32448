#include "client/cpp/client.h"

#include <grpcpp/generic/generic_stub.h>

#include <chrono>
#include <thread>
#include <utility>

#include "client/cpp/batches.h"
#include "client/cpp/status.h"
#include "server/base/status_macros.h"

namespace timbre::client {
namespace {

std::shared_ptr<grpc::Channel> Connect(const std::string& server) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  return grpc::CreateCustomChannel(server, grpc::InsecureChannelCredentials(),
                                   arguments);
}

}  // namespace

Client::Client(const std::string& server, absl::Duration timeout)
    : channel_(Connect(server)),
      timeout_(timeout),
      retrieval_(v1::Retrieval::NewStub(channel_)),
      catalog_(v1::Catalog::NewStub(channel_)) {}

absl::StatusOr<v1::SpeakerVersion> Client::Build(
    const v1::BuildOptions& options, const FrameSource& frames,
    const OnProgress& progress) {
  const auto context = NewContext(options.speaker());
  const auto stream = retrieval_->Build(context.get());
  std::optional<v1::SpeakerVersion> version;
  std::thread reader([&] {
    v1::BuildResponse response;
    while (stream->Read(&response)) {
      if (response.has_version()) version = response.version();
      if (response.has_progress()) progress(response.progress());
    }
  });
  v1::BuildRequest request;
  *request.mutable_options() = options;
  absl::Status source_status;
  bool sent = stream->Write(request);
  while (sent) {
    const auto next = frames();
    source_status = next.status();
    if (!next.ok() || !next->has_value()) break;
    ForEachMessage(**next, kAnyRows, [&](uint64_t first, uint64_t rows) {
      FillFrames(**next, first, rows, *request.mutable_frames());
      return sent = stream->Write(request);
    });
  }
  // A half-close publishes: what could not be read must not look finished.
  // Options in the middle of a build are refused, whatever came before.
  if (!source_status.ok()) {
    request.Clear();
    *request.mutable_options() = options;
    stream->Write(request);
  }
  stream->WritesDone();
  reader.join();
  const grpc::Status status = stream->Finish();
  TIMBRE_RETURN_IF_ERROR(source_status);
  TIMBRE_RETURN_IF_ERROR(FromGrpcStatus(status));
  if (!version) return absl::InternalError("the build ended without a version");
  return *std::move(version);
}

absl::StatusOr<v1::TuneResponse> Client::Tune(const VoiceRef& voice,
                                              const TuneOptions& options,
                                              const FrameMatrix& frames) {
  const auto context = NewContext(voice.speaker);
  v1::TuneResponse response;
  const auto stream = catalog_->Tune(context.get(), &response);
  v1::TuneRequest request;
  request.set_speaker(voice.speaker);
  request.set_version(voice.version);
  request.set_k(options.k);
  request.set_target_recall(options.target_recall);
  request.set_apply(options.apply);
  ForEachMessage(frames, kAnyRows, [&](uint64_t first, uint64_t rows) {
    FillFrames(frames, first, rows, *request.mutable_frames());
    const bool sent = stream->Write(request);
    request.Clear();  // the first message alone says what is wanted
    return sent;
  });
  stream->WritesDone();
  TIMBRE_RETURN_IF_ERROR(FromGrpcStatus(stream->Finish()));
  return response;
}

template <typename Request, typename Response>
absl::StatusOr<Response> Client::CallCatalog(
    grpc::Status (v1::Catalog::Stub::*method)(grpc::ClientContext*,
                                              const Request&, Response*),
    const Request& request, const std::string& speaker) const {
  const auto context = NewContext(speaker);
  context->set_deadline(std::chrono::system_clock::now() +
                        absl::ToChronoMilliseconds(timeout_));
  Response response;
  TIMBRE_RETURN_IF_ERROR(
      FromGrpcStatus(((*catalog_).*method)(context.get(), request, &response)));
  return response;
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
        CallCatalog(&v1::Catalog::Stub::ListSpeakers, request, ""));
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
  return CallCatalog(&v1::Catalog::Stub::GetSpeaker, request, speaker);
}

absl::StatusOr<v1::Speaker> Client::ActivateVersion(const VoiceRef& voice) {
  v1::ActivateVersionRequest request;
  request.set_speaker(voice.speaker);
  request.set_version(voice.version);
  return CallCatalog(&v1::Catalog::Stub::ActivateVersion, request,
                     voice.speaker);
}

absl::StatusOr<v1::Speaker> Client::DeleteVersion(const VoiceRef& voice) {
  v1::DeleteVersionRequest request;
  request.set_speaker(voice.speaker);
  request.set_version(voice.version);
  return CallCatalog(&v1::Catalog::Stub::DeleteVersion, request, voice.speaker);
}

absl::Status Client::DeleteSpeaker(const std::string& speaker) {
  v1::DeleteSpeakerRequest request;
  request.set_speaker(speaker);
  return CallCatalog(&v1::Catalog::Stub::DeleteSpeaker, request, speaker)
      .status();
}

absl::StatusOr<v1::ServerInfo> Client::GetServerInfo() {
  return CallCatalog(&v1::Catalog::Stub::GetServerInfo,
                     v1::GetServerInfoRequest(), "");
}

absl::StatusOr<bool> Client::CheckHealth() {
  // grpc.health.v1 comes without C++ messages in this gRPC: an empty request
  // is no bytes, and the answer's only field is `status`, SERVING = 1.
  grpc::GenericStub stub(channel_);
  const auto context = NewContext("");
  context->set_deadline(std::chrono::system_clock::now() +
                        absl::ToChronoMilliseconds(timeout_));
  grpc::CompletionQueue queue;
  grpc::ByteBuffer request(nullptr, 0);
  grpc::ByteBuffer response;
  grpc::Status status;
  const auto call = stub.PrepareUnaryCall(
      context.get(), "/grpc.health.v1.Health/Check", request, &queue);
  call->StartCall();
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  // gRPC 1.51's last word on calls that come while a server shuts down.
  if (status.error_code() == grpc::StatusCode::CANCELLED) return false;
  TIMBRE_RETURN_IF_ERROR(FromGrpcStatus(status));
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (response.Dump(&slices).ok()) {
    for (const grpc::Slice& slice : slices) {
      bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
    }
  }
  return bytes == std::string("\x08\x01", 2);
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
  const auto context = NewContext(request.speaker());
  const auto stream = catalog_->ReadFrames(context.get(), request);
  FrameMatrix frames;
  v1::ReadFramesResponse response;
  while (stream->Read(&response)) {
    AppendFrames(response.frames(), frames.data);
    frames.columns = response.frames().dimension();
  }
  TIMBRE_RETURN_IF_ERROR(FromGrpcStatus(stream->Finish()));
  if (frames.columns > 0) frames.rows = frames.data.size() / frames.columns;
  return frames;
}

absl::Status Client::Export(const VoiceRef& voice, v1::ExportFormat format,
                            const OnChunk& chunk) {
  const auto context = NewContext(voice.speaker);
  v1::ExportRequest request;
  request.set_speaker(voice.speaker);
  request.set_version(voice.version);
  request.set_format(format);
  const auto stream = catalog_->Export(context.get(), request);
  v1::ExportResponse response;
  absl::Status written;
  while (stream->Read(&response)) {
    written = chunk(response.chunk());
    if (!written.ok()) {
      context->TryCancel();
      break;
    }
  }
  const grpc::Status status = stream->Finish();
  TIMBRE_RETURN_IF_ERROR(written);
  return FromGrpcStatus(status);
}

}  // namespace timbre::client
