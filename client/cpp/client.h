// Timbre from C++: the public header of the client library.
//
//   timbre::client::Client client("127.0.0.1:7400");
//   auto mixed = client.Blend({"alice"}, {}, frames);
//   if (!mixed.ok()) ...       // mixed.status() says what to do about it
//   auto live = client.OpenBlend({"alice"});
//   while (...) auto next = live.Blend(frames);
//
// It lists the calls; results.h has what they take and give, stream.h the
// streams that stay open, npy.h and feature_files.h read features from files.
#ifndef TIMBRE_CLIENT_CPP_CLIENT_H_
#define TIMBRE_CLIENT_CPP_CLIENT_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cpp/matrix.h"
#include "client/cpp/results.h"
#include "client/cpp/stream.h"
#include "timbre/v1/retrieval.pb.h"

namespace timbre::client {

class Connection;

// Calls block until they are answered and return the server's status with its
// details (server/base/errors.h, DetailsOf). A connection that is refused is
// tried again for a second; a call is never repeated. Thread-safe.
class Client {
 public:
  // `server` is HOST:PORT, [IPV6]:PORT or unix:PATH; anything else makes every
  // call INVALID_ARGUMENT. Does not connect yet.
  //
  // `timeout` is the longest silence: every call that neither sends nor hears
  // anything for so long is cancelled, DEADLINE_EXCEEDED with the reason
  // NO_ANSWER. A build hears of its progress all the time; a Tune hears nothing
  // until it is done, so that its client wants a timeout as long as it and the
  // builds before it may take.
  explicit Client(const std::string& server,
                  absl::Duration timeout = absl::Seconds(60));
  ~Client();

  // The next frames of a build; nothing at their end.
  using FrameSource =
      std::function<absl::StatusOr<std::optional<FrameMatrix>>()>;
  using OnProgress = std::function<void(const v1::BuildProgress&)>;
  // `progress` is called on the caller's thread.
  absl::StatusOr<v1::SpeakerVersion> Build(const v1::BuildOptions& options,
                                           const FrameSource& frames,
                                           const OnProgress& progress);

  // Large inputs are cut into messages and pipelined on one stream.
  absl::StatusOr<SearchResult> Search(const VoiceRef& voice,
                                      const v1::SearchParams& params,
                                      const FrameMatrix& frames);
  absl::StatusOr<BlendResult> Blend(const VoiceRef& voice,
                                    const BlendOptions& options,
                                    const FrameMatrix& frames);
  // Streams that stay open. The first errors, an unknown voice among them, come
  // with the first answer.
  SearchStream OpenSearch(const VoiceRef& voice);
  BlendStream OpenBlend(const VoiceRef& voice);
  // Has the server open the voice, so that its next stream need not wait for
  // it: the version.
  absl::StatusOr<uint64_t> Warm(const VoiceRef& voice);

  // Measures recall, blend error and cost of the voice's settings on `frames`
  // (1..100,000), which are queries. Takes some seconds; with `apply` the
  // version is searched so from then on.
  absl::StatusOr<v1::TuneResponse> Tune(const VoiceRef& voice,
                                        const TuneOptions& options,
                                        const FrameMatrix& frames);

  // All speakers whose names begin with `prefix`.
  absl::StatusOr<std::vector<v1::Speaker>> ListSpeakers(
      const std::string& prefix);
  absl::StatusOr<v1::Speaker> GetSpeaker(const std::string& speaker);
  absl::StatusOr<v1::Speaker> ActivateVersion(const VoiceRef& voice);
  absl::StatusOr<v1::Speaker> DeleteVersion(const VoiceRef& voice);
  absl::Status DeleteSpeaker(const std::string& speaker);
  // Has the server compare the stored files of a voice, or of all (""), with
  // their digests. `heard` is called on the caller's thread: once for each
  // version, and about twice a second with bytes alone (`speaker` is empty
  // then). Damage is no error of the call. An error of `heard` ends it.
  using OnVerified = std::function<absl::Status(const v1::VerifyResponse&)>;
  absl::Status Verify(const std::string& speaker, const OnVerified& heard);
  absl::StatusOr<v1::ServerInfo> GetServerInfo();
  // Whether the server says SERVING (grpc.health.v1).
  absl::StatusOr<bool> CheckHealth();

  // Stored frames: `count` from `first_id` on, 0: to the end; or those of `ids`
  // (at most 100,000), in their order.
  absl::StatusOr<FrameMatrix> ReadFrames(const VoiceRef& voice,
                                         uint64_t first_id = 0,
                                         uint64_t count = 0);
  absl::StatusOr<FrameMatrix> ReadFramesById(const VoiceRef& voice,
                                             const std::vector<uint64_t>& ids);

  // Called with each piece of the file.
  using OnChunk = std::function<absl::Status(const std::string&)>;
  absl::Status Export(const VoiceRef& voice, v1::ExportFormat format,
                      const OnChunk& chunk);

 private:
  absl::StatusOr<FrameMatrix> Receive(const v1::ReadFramesRequest& request);

  const std::shared_ptr<const Connection> connection_;  // streams share it
};

}  // namespace timbre::client

#endif  // TIMBRE_CLIENT_CPP_CLIENT_H_
