// What Search and Blend differ in: how a message of theirs is answered.
#ifndef TIMBRE_SERVER_SERVICE_LIVE_ANSWERER_H_
#define TIMBRE_SERVER_SERVICE_LIVE_ANSWERER_H_

#include <grpcpp/support/byte_buffer.h>

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/service/live/message_work.h"
#include "server/service/live/voice_pin.h"
#include "server/service/transport/message_codec.h"
#include "timbre/v1/retrieval.pb.h"

namespace timbre {

struct Answer {
  grpc::ByteBuffer message;
  // What it is measured by.
  uint64_t rows = 0;
  size_t nprobe_label = 0;
  v1::Degradation degradation = v1::DEGRADATION_UNSPECIFIED;
};

// Of one stream; used by one task at a time.
class Answerer {
 public:
  virtual ~Answerer() = default;

  // Parses the message, keeps it, and checks everything that does not need the
  // open version; `pin` accepts its voice. `header` is timbre-speaker. Whether
  // it brought parameters.
  virtual absl::StatusOr<bool> Parse(grpc::ByteBuffer& bytes,
                                     absl::string_view header,
                                     VoicePin& pin) = 0;
  // Whether the parsed message has frames; one without is a warm-up.
  virtual bool HasFrames() const = 0;
  // Answers the parsed message.
  virtual absl::StatusOr<Answer> Reply(MessageWork& work) = 0;
  // Frees what was kept of a message and its answer, which are large: hundreds
  // of streams may wait for their clients.
  virtual void Forget() = 0;
};

// What both keep of a stream. Effective: as EffectiveSearch and FillEffective
// have it.
template <typename Request, typename Response, typename Params,
          typename Effective>
class StreamMessages {
 public:
  explicit StreamMessages(uint64_t max_message_bytes)
      : max_message_bytes_(max_message_bytes) {}

  absl::Status Parse(grpc::ByteBuffer& bytes) {
    return ParseMessage(bytes, request_, max_message_bytes_);
  }
  // The parameters of the request hold from now on, if it has any that are
  // good. Whether it had any.
  absl::StatusOr<bool> TakeParams(absl::Status (*check)(const Params&)) {
    if (!request_.has_params()) return false;
    absl::Status checked = check(request_.params());
    if (!checked.ok()) return checked;
    params_ = request_.params();
    return true;
  }
  // Says in the response what was used, where it is not what was said last.
  void Report(const Effective& effective) {
    if (effective == reported_) return;
    reported_ = effective;
    FillEffective(effective, *response_.mutable_effective());
  }
  void Forget() {
    request_ = {};
    response_ = {};
  }

  const Request& request() const { return request_; }
  bool has_frames() const { return !request_.frames().data().empty(); }
  const Params& params() const { return params_; }
  Response& response() { return response_; }

 private:
  const uint64_t max_message_bytes_;
  Request request_;
  Params params_;
  Effective reported_;
  Response response_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_LIVE_ANSWERER_H_
