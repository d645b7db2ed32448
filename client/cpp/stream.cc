#include "client/cpp/stream.h"

#include "client/cpp/batches.h"
#include "client/cpp/call.h"
#include "client/cpp/connection.h"
#include "server/base/status_macros.h"

namespace timbre::client {

template <typename Request, typename Response>
MessageStream<Request, Response>::MessageStream(
    std::shared_ptr<const Connection> connection, const std::string& method,
    const std::string& speaker)
    : connection_(std::move(connection)), connected_(connection_->Await()) {
  if (!connected_.ok()) return;
  call_ =
      std::make_unique<Call<Request, Response>>(*connection_, method, speaker);
}

template <typename Request, typename Response>
MessageStream<Request, Response>::MessageStream(MessageStream&&) noexcept =
    default;

template <typename Request, typename Response>
MessageStream<Request, Response>::~MessageStream() = default;

template <typename Request, typename Response>
absl::Status MessageStream<Request, Response>::Ask(const Request& request,
                                                   Response& response) {
  TIMBRE_RETURN_IF_ERROR(connected_);
  if (call_->Ask(request, response)) return absl::OkStatus();
  const absl::Status status = End();
  return status.ok() ? absl::FailedPreconditionError("the stream has ended")
                     : status;
}

template <typename Request, typename Response>
absl::Status MessageStream<Request, Response>::End() {
  return connected_.ok() ? call_->Close() : connected_;
}

template class MessageStream<v1::SearchRequest, v1::SearchResponse>;
template class MessageStream<v1::BlendRequest, v1::BlendResponse>;

SearchStream::SearchStream(Stream stream, const VoiceRef& voice)
    : stream_(std::move(stream)) {
  request_.set_speaker(voice.speaker);
  request_.set_version(voice.version);
}

absl::StatusOr<SearchResult> SearchStream::Search(
    const FrameMatrix& frames, const std::optional<v1::SearchParams>& params) {
  FillFrames(frames, 0, frames.rows, *request_.mutable_frames());
  if (params) *request_.mutable_params() = *params;
  v1::SearchResponse response;
  TIMBRE_RETURN_IF_ERROR(stream_.Ask(request_, response));
  request_.Clear();
  SearchResult result;
  AppendBytes(response.neighbors().ids(), result.ids.data);
  AppendBytes(response.neighbors().distances(), result.distances.data);
  result.ids.rows = result.distances.rows = frames.rows;
  result.ids.columns = result.distances.columns = response.neighbors().k();
  if (response.has_effective()) effective_ = response.effective();
  result.effective = effective_;
  result.version = response.version();
  return result;
}

BlendStream::BlendStream(Stream stream, const VoiceRef& voice)
    : stream_(std::move(stream)) {
  request_.set_speaker(voice.speaker);
  request_.set_version(voice.version);
}

absl::StatusOr<BlendResult> BlendStream::Blend(const FrameMatrix& frames,
                                               const BlendOptions& options) {
  FillFrames(frames, 0, frames.rows, *request_.mutable_frames());
  if (!options.voices.empty()) {
    request_.clear_speaker();  // of the first request
    request_.clear_version();
    NameVoices(options.voices, request_);
  }
  if (options.params) *request_.mutable_params() = *options.params;
  request_.set_frame_index_rates(
      options.frame_index_rates.data(),
      options.frame_index_rates.size() * sizeof(float));
  request_.set_reply_element_type(options.reply_element_type);
  v1::BlendResponse response;
  TIMBRE_RETURN_IF_ERROR(stream_.Ask(request_, response));
  request_.Clear();
  BlendResult result;
  if (!AppendFrames(response.frames(), result.frames.data)) {
    return absl::InternalError("the answer has an unknown element type");
  }
  result.frames.rows = frames.rows;
  result.frames.columns = frames.columns;
  if (response.has_effective()) effective_ = response.effective();
  result.effective = effective_;
  result.version = response.version();
  result.versions.assign(response.versions().begin(),
                         response.versions().end());
  result.mean_distance = response.mean_distance();
  result.mean_shift = response.mean_shift();
  return result;
}

}  // namespace timbre::client
