// One Tune without its transport.
#ifndef TIMBRE_SERVER_SERVICE_UPLOAD_TUNE_SESSION_H_
#define TIMBRE_SERVER_SERVICE_UPLOAD_TUNE_SESSION_H_

#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/catalog/catalog.h"
#include "server/engine/frames/frame_writer.h"
#include "server/engine/train/build_observer.h"
#include "server/engine/tune/tuner.h"
#include "server/service/contract/frame_codec.h"
#include "server/service/rpc/service_context.h"

namespace timbre {

// Queries go to the disk as they come; only those that are measured with
// (tuning_queries.h) are held in memory. Not thread-safe: one message, then the
// measurement, at a time. Functions may wait for the disk.
class TuneSession {
 public:
  using Request = v1::TuneRequest;
  // Its first message has the voice opened (VoiceOpener::OpenNow).
  static constexpr bool kOpensVoice = true;
  static constexpr uint64_t kMaxQueries = 100'000;

  explicit TuneSession(ServiceContext& context) : context_(context) {}

  // Takes the next message. INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION,
  // DATA_LOSS, RESOURCE_EXHAUSTED (the disk, memory), CANCELLED.
  absl::Status Accept(const v1::TuneRequest& request,
                      absl::string_view speaker_metadata,
                      const std::function<bool()>& cancelled);

  // The client has half-closed: INVALID_ARGUMENT if something is missing.
  absl::Status CheckComplete() const;

  // Measures; takes as long as it takes. CANCELLED when the observer says so.
  absl::Status Measure(BuildObserver& observer);

  // Makes what was measured the version's where the client asked for that, and
  // writes the answer. ABORTED if the version was deleted meanwhile.
  absl::StatusOr<v1::TuneResponse> Apply();

 private:
  absl::Status AcceptFirst(absl::string_view speaker_metadata,
                           const std::function<bool()>& cancelled);
  absl::Status AcceptFrames(const v1::Frames& frames);
  TuningGoal Goal() const;

  ServiceContext& context_;
  v1::TuneRequest first_;             // without its frames
  Lease lease_;                       // null: the first message is to come
  std::unique_ptr<Staging> staging_;  // of writer_
  std::optional<FrameWriter> writer_;
  FrameBatch batch_;
  Measured measured_;
  uint64_t queries_ = 0;  // that it was measured with
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_UPLOAD_TUNE_SESSION_H_
