// A stream of Search or Blend that stays open: for converting live, where a
// new call per message would cost a round trip.
#ifndef TIMBRE_CLIENT_CPP_STREAM_H_
#define TIMBRE_CLIENT_CPP_STREAM_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cpp/results.h"
#include "timbre/v1/retrieval.pb.h"

namespace timbre::client {

template <typename Request, typename Response>
class Call;
class Connection;

// One request, one answer, over one call. Not thread-safe.
template <typename Request, typename Response>
class MessageStream {
 public:
  // Begins the call; errors, of the connection too, are told by Ask.
  MessageStream(std::shared_ptr<const Connection> connection,
                const std::string& method, const std::string& speaker);
  MessageStream(MessageStream&&) noexcept;
  ~MessageStream();

  absl::Status Ask(const Request& request, Response& response);
  // Half-closes and returns the call's status; again, whenever it is called.
  absl::Status End();

 private:
  std::shared_ptr<const Connection> connection_;
  absl::Status connected_;
  std::unique_ptr<Call<Request, Response>> call_;  // null: not connected
};

// Made by Client::OpenSearch and OpenBlend; may outlive the client. The voice's
// version is that of the first answer, for the life of the stream. Frames go
// as one message each, so they must fit --max_message_bytes; an answer that
// does not come within the client's timeout is DEADLINE_EXCEEDED. After an
// error every call returns it again. Not thread-safe.
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
  // `options.params` hold until others are given. `options.voices`, given with
  // the first frames, are mixed instead of the stream's voice, which only names
  // the speaker for proxies then: the first of them, or nobody. They hold too;
  // given again, the same in the same order, they may have other weights. The
  // rest of `options` is for these frames.
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
