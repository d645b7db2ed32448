// The work on one message of Search or Blend.
#ifndef TIMBRE_SERVER_SERVICE_LIVE_MESSAGE_WORK_H_
#define TIMBRE_SERVER_SERVICE_LIVE_MESSAGE_WORK_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/monotonic_clock.h"
#include "server/metrics/server_metrics.h"
#include "server/service/contract/frame_codec.h"
#include "server/service/live/latency_budget.h"
#include "server/service/live/pieces.h"
#include "server/service/live/stream_costs.h"
#include "server/service/live/voice_pin.h"
#include "server/service/rpc/service_context.h"
#include "server/service/transport/call.h"
#include "timbre/v1/retrieval.pb.h"

namespace timbre {

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

// How the message came, and who works on it.
struct MessageTerms {
  absl::Time received;
  absl::Duration parsing_time;
  // Small: it lets nobody pass, and passes large ones.
  bool urgent = true;
  // On the thread that polls gRPC, which waits for nobody.
  bool polling = false;
};

// Not thread-safe, but for the work of pieces.
class MessageWork {
 public:
  // `pin` is pinned. All must outlive it.
  MessageWork(const Call& call, ServiceContext& context, Rpc rpc,
              const VoicePin& pin, StreamCosts& costs,
              const MessageTerms& terms)
      : call_(call),
        context_(context),
        rpc_(rpc),
        pin_(pin),
        costs_(costs),
        terms_(terms) {}
  MessageWork(const MessageWork&) = delete;
  MessageWork& operator=(const MessageWork&) = delete;

  const VoicePin& pin() const { return pin_; }
  ServerMetrics& metrics() const { return *context_.metrics; }
  const KernelTable& kernels() const { return *context_.kernels; }

  // Decodes `frames` for the pinned version.
  absl::Status Decode(const v1::Frames& frames, FrameBatch& batch);

  // What the message must keep to.
  LatencyBudget BudgetOf(const ResolvedSearch& search,
                         const LoadedVersion& version,
                         bool may_pass_through) const;

  // Runs `work` over `rows` frames in pieces of up to half a millisecond, with
  // the help of workers that are idle. Between two pieces of a large message,
  // small ones that wait are answered first (ThreadPool::RunUrgent). `budget`
  // says what each piece is searched with. CANCELLED if nobody waits for the
  // answer any more.
  absl::Status InPieces(uint64_t rows, LatencyBudget& budget,
                        Pieces::Work work);
  // What all threads spent in InPieces, and how long it took.
  absl::Duration time_in_pieces() const { return time_in_pieces_; }
  absl::Duration wall_time_in_pieces() const { return wall_time_in_pieces_; }

 private:
  void LetOthersPass();

  const Call& call_;
  ServiceContext& context_;
  const Rpc rpc_;
  const VoicePin& pin_;
  StreamCosts& costs_;
  const MessageTerms terms_;
  absl::Duration time_in_pieces_;
  absl::Duration wall_time_in_pieces_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_LIVE_MESSAGE_WORK_H_
