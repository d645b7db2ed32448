// One Build without its transport: what was asked for, what has come so far,
// and the way to a published version.
#ifndef TIMBRE_SERVER_SERVICE_UPLOAD_BUILD_SESSION_H_
#define TIMBRE_SERVER_SERVICE_UPLOAD_BUILD_SESSION_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/catalog/catalog.h"
#include "server/engine/build/builder.h"
#include "server/engine/frames/frame_writer.h"
#include "server/engine/train/build_observer.h"
#include "server/service/contract/build_options.h"
#include "server/service/contract/frame_codec.h"
#include "server/service/rpc/service_context.h"

namespace timbre {

// Frames go to the disk as they come; memory does not grow with them. Not
// thread-safe: one message, then the build, at a time. Functions may wait for
// the disk. Whatever was staged is removed when the session goes unpublished.
class BuildSession {
 public:
  using Request = v1::BuildRequest;

  // A base's frames are read without its index.
  static constexpr bool kOpensVoice = false;

  explicit BuildSession(ServiceContext& context) : context_(context) {}

  // Takes the next message. INVALID_ARGUMENT, RESOURCE_EXHAUSTED (a limit or
  // the disk), NOT_FOUND (base_version), CANCELLED.
  absl::Status Accept(const v1::BuildRequest& request,
                      absl::string_view speaker_metadata,
                      const std::function<bool()>& cancelled);

  // The version that options.request_id has published before, if any.
  const std::optional<VersionInfo>& earlier() const { return earlier_; }
  const v1::BuildOptions& options() const { return options_; }
  uint64_t received() const { return received_; }

  // The client has half-closed: INVALID_ARGUMENT if something is missing.
  absl::Status CheckComplete() const;

  // Trains; takes as long as it takes. CANCELLED when the observer says so.
  absl::Status Train(BuildObserver& observer);
  // Publishes what Train made, unless `cancelled` says no at the last moment.
  absl::StatusOr<VersionInfo> Publish(const std::function<bool()>& cancelled);

 private:
  absl::Status AcceptOptions(const v1::BuildOptions& options,
                             absl::string_view speaker_metadata,
                             const std::function<bool()>& cancelled);
  absl::Status AcceptFrames(const v1::Frames& frames);
  absl::Status StartWriting(uint32_t dimension);
  absl::Status OpenBase(const std::function<bool()>& cancelled);
  // Puts the base's frames before the received ones.
  absl::Status PrependBase(const BuildObserver& observer);
  absl::Status CheckLimits(uint64_t frames, uint64_t bytes_to_write) const;
  float ExpansionAlpha() const;
  uint32_t dimension() const;  // 0: not known yet
  uint64_t rows() const;       // base and received

  ServiceContext& context_;
  bool has_options_ = false;
  v1::BuildOptions options_;
  CheckedBuildOptions checked_;
  std::optional<VersionInfo> earlier_;
  std::unique_ptr<Staging> staging_;
  std::shared_ptr<const FrameStore> base_;  // null: none
  std::optional<FrameWriter> writer_;
  FrameBatch batch_;
  uint64_t received_ = 0;  // from the stream, the base's frames not counted
  BuildResult result_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_UPLOAD_BUILD_SESSION_H_
