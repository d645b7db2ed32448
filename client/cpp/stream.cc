#include "client/cpp/stream.h"

#include "client/cpp/batches.h"
#include "client/cpp/status.h"
#include "server/base/status_macros.h"

namespace timbre::client {

template <typename Request, typename Response>
absl::Status MessageStream<Request, Response>::End() {
  if (ended_) return status_;
  ended_ = true;
  call_->WritesDone();
  Response response;
  while (call_->Read(&response)) {  // nobody waits for it any more
  }
  status_ = FromGrpcStatus(call_->Finish());
  return status_;
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
  result.mean_distance = response.mean_distance();
  result.mean_shift = response.mean_shift();
  return result;
}

}  // namespace timbre::client
