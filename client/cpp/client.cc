#include "client/cpp/client.h"

#include <grpcpp/generic/generic_stub.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "client/cpp/status.h"
#include "server/base/status_macros.h"

namespace timbre::client {
namespace {

constexpr uint64_t kMessageBytes = 1 << 20;
constexpr uint64_t kAnyRows = UINT64_MAX;
constexpr uint64_t kMaxResults = 1 << 20;  // rows * k of a Search
constexpr uint32_t kDefaultK = 8;

std::shared_ptr<grpc::Channel> Connect(const std::string& server) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  return grpc::CreateCustomChannel(server, grpc::InsecureChannelCredentials(),
                                   arguments);
}

void FillFrames(const FrameMatrix& frames, uint64_t first, uint64_t count,
                v1::Frames& message) {
  message.set_dimension(frames.columns);
  message.set_element_type(v1::ELEMENT_TYPE_FLOAT32);
  message.set_data(frames.row(first), count * frames.columns * sizeof(float));
}

// Runs `first_rows, rows -> bool` over the messages that `frames` are cut
// into; at least once, also without rows.
template <typename Send>
void ForEachMessage(const FrameMatrix& frames, uint64_t max_rows, Send send) {
  const uint64_t rows_per_message = std::clamp<uint64_t>(
      kMessageBytes / (sizeof(float) * std::max(1U, frames.columns)), 1,
      max_rows);
  uint64_t first = 0;
  do {
    const uint64_t rows = std::min(rows_per_message, frames.rows - first);
    if (!send(first, rows)) return;
    first += rows;
  } while (first < frames.rows);
}

// Writes all of `frames` on a thread of its own, so that answers are read
// while requests are sent: two full pipes would wait for each other.
template <typename Request, typename Stream, typename Receive>
absl::Status Exchange(Stream& stream, Request request,
                      const FrameMatrix& frames, uint64_t max_rows,
                      Receive receive) {
  std::thread writer([&] {
    ForEachMessage(frames, max_rows, [&](uint64_t first, uint64_t rows) {
      FillFrames(frames, first, rows, *request.mutable_frames());
      const bool sent = stream.Write(request);
      request.Clear();  // the first message alone names voice and parameters
      return sent;
    });
    stream.WritesDone();
  });
  receive();
  writer.join();
  return FromGrpcStatus(stream.Finish());
}

template <typename T>
void Append(const std::string& bytes, std::vector<T>& out) {
  const size_t before = out.size();
  out.resize(before + bytes.size() / sizeof(T));
  std::memcpy(out.data() + before, bytes.data(),
              (out.size() - before) * sizeof(T));
}

}  // namespace

Client::Client(const std::string& server, absl::Duration timeout)
    : channel_(Connect(server)),
      timeout_(timeout),
      retrieval_(v1::Retrieval::NewStub(channel_)),
      catalog_(v1::Catalog::NewStub(channel_)) {}

std::unique_ptr<grpc::ClientContext> Client::NewContext(
    const std::string& speaker) {
  auto context = std::make_unique<grpc::ClientContext>();
  if (!speaker.empty()) context->AddMetadata("timbre-speaker", speaker);
  return context;
}

absl::StatusOr<v1::SpeakerVersion> Client::Build(
    const v1::BuildOptions& options, const FrameSource& frames,
    const OnProgress& progress) {
  grpc::ClientContext context;
  context.AddMetadata("timbre-speaker", options.speaker());
  const auto stream = retrieval_->Build(&context);
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

absl::StatusOr<SearchResult> Client::Search(const VoiceRef& voice,
                                            const v1::SearchParams& params,
                                            const FrameMatrix& frames) {
  const auto context = NewContext(voice.speaker);
  const auto stream = retrieval_->Search(context.get());
  v1::SearchRequest request;
  request.set_speaker(voice.speaker);
  request.set_version(voice.version);
  *request.mutable_params() = params;
  SearchResult result;
  const uint64_t max_rows =
      std::max<uint64_t>(1, kMaxResults / std::max(params.k(), kDefaultK));
  TIMBRE_RETURN_IF_ERROR(Exchange(*stream, request, frames, max_rows, [&] {
    v1::SearchResponse response;
    while (stream->Read(&response)) {
      Append(response.neighbors().ids(), result.ids.data);
      Append(response.neighbors().distances(), result.distances.data);
      if (response.has_effective()) result.effective = response.effective();
      result.version = response.version();
      result.ids.columns = response.neighbors().k();
    }
  }));
  result.ids.rows = frames.rows;
  result.distances.rows = frames.rows;
  result.distances.columns = result.ids.columns;
  return result;
}

absl::StatusOr<BlendResult> Client::Blend(const VoiceRef& voice,
                                          const v1::BlendParams& params,
                                          const FrameMatrix& frames) {
  const auto context = NewContext(voice.speaker);
  const auto stream = retrieval_->Blend(context.get());
  v1::BlendRequest request;
  request.set_speaker(voice.speaker);
  request.set_version(voice.version);
  *request.mutable_params() = params;
  BlendResult result;
  double distance = 0;
  double shift = 0;
  TIMBRE_RETURN_IF_ERROR(Exchange(*stream, request, frames, kAnyRows, [&] {
    v1::BlendResponse response;
    while (stream->Read(&response)) {
      Append(response.frames().data(), result.frames.data);
      const double rows =
          frames.columns == 0
              ? 0
              : static_cast<double>(response.frames().data().size()) /
                    (sizeof(float) * frames.columns);
      distance += rows * response.mean_distance();
      shift += rows * response.mean_shift();
      if (response.has_effective()) result.effective = response.effective();
      result.version = response.version();
    }
  }));
  result.frames.rows = frames.rows;
  result.frames.columns = frames.columns;
  if (frames.rows > 0) {
    result.mean_distance = distance / static_cast<double>(frames.rows);
    result.mean_shift = shift / static_cast<double>(frames.rows);
  }
  return result;
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

absl::Status Client::Export(const VoiceRef& voice, v1::ExportFormat format,
                            const OnChunk& chunk) {
  grpc::ClientContext context;
  context.AddMetadata("timbre-speaker", voice.speaker);
  v1::ExportRequest request;
  request.set_speaker(voice.speaker);
  request.set_version(voice.version);
  request.set_format(format);
  const auto stream = catalog_->Export(&context, request);
  v1::ExportResponse response;
  absl::Status written;
  while (stream->Read(&response)) {
    written = chunk(response.chunk());
    if (!written.ok()) {
      context.TryCancel();
      break;
    }
  }
  const grpc::Status status = stream->Finish();
  TIMBRE_RETURN_IF_ERROR(written);
  return FromGrpcStatus(status);
}

}  // namespace timbre::client
