// What Search and Blend share: a stream that answers message by message.
#ifndef TIMBRE_SERVER_SERVICE_LIVE_EXCHANGE_HANDLER_H_
#define TIMBRE_SERVER_SERVICE_LIVE_EXCHANGE_HANDLER_H_

#include <grpcpp/support/byte_buffer.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/monotonic_clock.h"
#include "server/catalog/open/voice_opener.h"
#include "server/engine/search/blender.h"
#include "server/service/contract/frame_codec.h"
#include "server/service/live/latency_budget.h"
#include "server/service/live/pieces.h"
#include "server/service/live/voice_pin.h"
#include "server/service/rpc/admission.h"
#include "server/service/rpc/rpc_handler.h"
#include "server/service/transport/inbox.h"
#include "server/service/transport/turns.h"

namespace timbre {

// Working memory of a worker thread, for any stream that it happens to serve.
struct WorkerScratch {
  FrameBatch frames;
  SearchScratch search;
  BlendScratch blend;
  std::vector<float> rates;
  std::vector<float> out;
  std::vector<float> voice;         // one of several that are mixed
  std::vector<BlendTotals> totals;  // of a piece, per voice
};
WorkerScratch& ThisWorkersScratch();
// Frees all of it; between two messages.
void FreeThisWorkersScratch();

// While it lives, this worker is in the middle of a message and answers another
// one: with other working memory. At most one at a time.
class Interruption {
 public:
  Interruption();
  ~Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;
  static bool UnderWay();
};

// Measures one part of a message. Not thread-safe.
class StageTimer {
 public:
  StageTimer(ServerMetrics& metrics, Rpc rpc, Stage stage)
      : metrics_(metrics), rpc_(rpc), stage_(stage), start_(MonotonicNow()) {}
  ~StageTimer() {
    metrics_.ObserveStage(rpc_, stage_, MonotonicNow() - start_);
  }
  StageTimer(const StageTimer&) = delete;
  StageTimer& operator=(const StageTimer&) = delete;

 private:
  ServerMetrics& metrics_;
  const Rpc rpc_;
  const Stage stage_;
  const absl::Time start_;
};

// Has one message after the other answered on a worker; those that come
// meanwhile are kept (see Inbox). The voice of the first message is opened on
// an I/O thread if it is not open.
class ExchangeHandler : public RpcHandler {
 public:
  ExchangeHandler(Call& call, ServiceContext& context, Rpc rpc);

  void OnRequest(grpc::ByteBuffer message) override;
  void OnRequestsEnd() override;
  void OnWritten() override;
  void OnDrain() override;

 protected:
  // What an answer is measured by.
  struct Answer {
    grpc::ByteBuffer message;
    uint64_t rows = 0;
    size_t nprobe_label = 0;
    v1::Degradation degradation = v1::DEGRADATION_UNSPECIFIED;
  };

  // Parses the message, keeps it, and checks everything that does not need
  // the open version; ends with pin().Accept. On a worker.
  virtual absl::Status Parse(grpc::ByteBuffer& bytes) = 0;
  // Answers the parsed message; pin() is pinned. On a worker.
  virtual absl::StatusOr<Answer> Reply() = 0;
  // Frees what was kept of a message and its answer, which are large: hundreds
  // of streams may wait for their clients.
  virtual void Forget() = 0;

  // Decodes the frames of the parsed message for the pinned version.
  absl::Status Decode(const v1::Frames& frames, FrameBatch& batch);

  // Runs `work` over `rows` frames in pieces of up to half a millisecond, with
  // the help of workers that are idle, and between two of them one small
  // message that waits: a large one holds nobody up. `budget` says what each is
  // searched with. CANCELLED if nobody waits for the answer any more.
  absl::Status InPieces(uint64_t rows, LatencyBudget& budget,
                        Pieces::Work work);
  // What all threads spent in InPieces.
  absl::Duration time_in_pieces() const { return time_in_pieces_; }

  VoicePin& pin() { return pin_; }
  // The parameters are others now: what a frame takes is unknown.
  void ForgetFrameTime() { frame_time_ = absl::InfiniteDuration(); }
  // What the message in work must keep to.
  LatencyBudget BudgetOf(const ResolvedSearch& search,
                         const LoadedVersion& version, bool may_pass_through);

 private:
  // Reads the next message if none is being read and there is room for it.
  void ReadOn();
  // It is the message's turn.
  void Take(grpc::ByteBuffer message);
  void LetOthersPass();
  // Each is searched for every frame.
  uint64_t voices() const {
    const auto heard =
        std::count_if(pin_.weights().begin(), pin_.weights().end(),
                      [](float weight) { return weight > 0; });
    return std::max<uint64_t>(1, static_cast<uint64_t>(heard));
  }
  // Lets the message in, which is to be the one in work; or says why not.
  absl::Status Admit(const grpc::ByteBuffer& message);
  absl::Status InflateAndAdmit(grpc::ByteBuffer& message);
  // Of the message in work.
  ThreadPool::Urgency urgency() const;
  uint64_t FramesIn(const grpc::ByteBuffer& message) const;
  void Process(grpc::ByteBuffer& message);
  void LearnFrameTime(const Answer& answer, absl::Duration took);
  // Opens the voices that are wanted after `leases`, which are open, pins them
  // all and goes on.
  void Open(std::vector<Lease> leases);
  absl::Status Pin(std::vector<Lease> leases);
  void Respond();

  VoicePin pin_;              // used by one task at a time
  Admission::Ticket ticket_;  // of the message in work
  size_t bytes_ = 0;          // of the message in work
  bool compressed_ = false;   // it came so
  FrameCost frame_cost_;
  absl::Time received_;  // the message in work; or the one before, or never
  absl::Duration parsing_time_;  // of the message in work, like the next two
  absl::Duration time_in_pieces_;
  absl::Duration wall_time_in_pieces_;
  bool polling_ = false;  // on the thread that polls gRPC
  // Of a number, in the last message.
  size_t element_bytes_ = sizeof(float);
  // Of the last message; infinite: unknown.
  absl::Duration frame_time_ = absl::InfiniteDuration();

  Turns turns_;
  Inbox inbox_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_LIVE_EXCHANGE_HANDLER_H_
