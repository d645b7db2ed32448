// A stream of Search or Blend that stays open: for converting live, where a
// new call per message would cost a round trip.
#ifndef TIMBRE_CLIENT_CPP_STREAM_H_
#define TIMBRE_CLIENT_CPP_STREAM_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cpp/results.h"
#include "timbre/v1/retrieval.grpc.pb.h"

namespace timbre::client {

// One request, one answer, over one call. Not thread-safe.
template <typename Request, typename Response>
class MessageStream {
 public:
  using Call = grpc::ClientReaderWriter<Request, Response>;

  MessageStream(std::unique_ptr<grpc::ClientContext> context,
                std::unique_ptr<Call> call)
      : context_(std::move(context)), call_(std::move(call)) {}
  MessageStream(MessageStream&&) noexcept = default;
  ~MessageStream() {
    if (call_ == nullptr || ended_) return;
    context_->TryCancel();
    call_->Finish();
  }

  absl::Status Ask(const Request& request, Response& response) {
    if (!ended_ && call_->Write(request) && call_->Read(&response)) {
      return absl::OkStatus();
    }
    const absl::Status status = End();
    return status.ok() ? absl::FailedPreconditionError("the stream has ended")
                       : status;
  }

  // Half-closes and returns the call's status; again, whenever it is called.
  absl::Status End();

 private:
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<Call> call_;
  bool ended_ = false;
  absl::Status status_;
};

// Made by Client::OpenSearch and OpenBlend; may outlive the client. The voice's
// version is that of the first answer, for the life of the stream. Frames go
// as one message each, so they must fit --max_message_bytes. After an error
// every call returns it again. Not thread-safe.
class SearchStream {
 public:
  // `params` hold until others are given; none yet: the defaults.
  absl::StatusOr<SearchResult> Search(
      const FrameMatrix& frames,
      const std::optional<v1::SearchParams>& params = std::nullopt);
  // Ends the stream well: the status of the call.
  absl::Status Close() { return stream_.End(); }

 private:
  friend class Client;
  using Stream = MessageStream<v1::SearchRequest, v1::SearchResponse>;
  SearchStream(Stream stream, const VoiceRef& voice);

  Stream stream_;
  v1::SearchRequest request_;  // the next one; the first names the voice
  v1::SearchParams effective_;
};

class BlendStream {
 public:
  // `options.params` hold until others are given; the rest is for these frames.
  absl::StatusOr<BlendResult> Blend(const FrameMatrix& frames,
                                    const BlendOptions& options = {});
  absl::Status Close() { return stream_.End(); }

 private:
  friend class Client;
  using Stream = MessageStream<v1::BlendRequest, v1::BlendResponse>;
  BlendStream(Stream stream, const VoiceRef& voice);

  Stream stream_;
  v1::BlendRequest request_;
  v1::BlendParams effective_;
};

}  // namespace timbre::client

#endif  // TIMBRE_CLIENT_CPP_STREAM_H_
