// Retrieval.Blend.
#include <memory>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/service/contract/search_params.h"
#include "server/service/live/answerer.h"
#include "server/service/live/exchange_handler.h"
#include "server/service/live/handlers.h"
#include "server/service/live/voice_blend.h"
#include "server/service/live/worker_scratch.h"

namespace timbre {
namespace {

class BlendAnswerer : public Answerer {
 public:
  explicit BlendAnswerer(uint64_t max_message_bytes)
      : messages_(max_message_bytes) {}

  absl::StatusOr<bool> Parse(grpc::ByteBuffer& bytes, absl::string_view header,
                             VoicePin& pin) override {
    TIMBRE_RETURN_IF_ERROR(messages_.Parse(bytes));
    TIMBRE_RETURN_IF_ERROR(AcceptVoice(messages_.request(), header, pin));
    TIMBRE_RETURN_IF_ERROR(
        DecodeElementType(messages_.request().reply_element_type(),
                          "reply_element_type")
            .status());
    return messages_.TakeParams(CheckBlendParams);
  }

  bool HasFrames() const override { return messages_.has_frames(); }

  absl::StatusOr<Answer> Reply(MessageWork& work) override {
    const v1::BlendRequest& request = messages_.request();
    WorkerScratch& scratch = ThisWorkersScratch();
    const FrameBatch& frames = scratch.frames;
    TIMBRE_RETURN_IF_ERROR(work.Decode(request.frames(), scratch.frames));
    TIMBRE_RETURN_IF_ERROR(blend_.Begin(work.pin(), messages_.params()));
    const ResolvedBlend& leading = blend_.leading();
    TIMBRE_RETURN_IF_ERROR(DecodeRates(request.frame_index_rates(), frames.rows,
                                       leading.index_rate, scratch.rates));
    scratch.out.resize(frames.data.size());
    const BlendMessage message{.frames = frames.data.data(),
                               .rates = scratch.rates.data(),
                               .out = scratch.out.data()};
    LatencyBudget budget =
        work.BudgetOf(leading.search, blend_.leading_version(), true);
    TIMBRE_RETURN_IF_ERROR(
        work.InPieces(frames.rows, budget, [&](const Piece& piece) {
          return blend_.BlendPiece(piece, message, ThisWorkersScratch());
        }));
    ServerMetrics& metrics = work.metrics();
    metrics.ObserveStage(Rpc::kBlend, Stage::kSearch,
                         work.time_in_pieces() - blend_.blend_time());
    metrics.ObserveStage(Rpc::kBlend, Stage::kBlend, blend_.blend_time());
    const StageTimer timer(metrics, Rpc::kBlend, Stage::kEncode);
    FillResponse(work, budget, scratch);
    return Answer{.message = SerializeMessage(messages_.response()),
                  .rows = frames.rows,
                  .nprobe_label = LabelOf(leading.search, budget),
                  .degradation = budget.degradation()};
  }

  void Forget() override { messages_.Forget(); }

 private:
  static absl::Status AcceptVoice(const v1::BlendRequest& request,
                                  absl::string_view header, VoicePin& pin) {
    if (request.voices_size() == 0) {
      return pin.Accept(header, request.speaker(), request.version());
    }
    if (!request.speaker().empty() || request.version() != 0) {
      return InvalidField("speaker",
                          absl::StrCat("\"", request.speaker(), "\" version ",
                                       request.version()),
                          "empty where `voices` are given");
    }
    return pin.AcceptVoices(header, request.voices());
  }

  void FillResponse(const MessageWork& work, const LatencyBudget& budget,
                    const WorkerScratch& scratch) {
    const v1::BlendRequest& request = messages_.request();
    v1::BlendResponse& response = messages_.response();
    response.Clear();
    ElementType type = scratch.frames.element_type;
    if (request.reply_element_type() != v1::ELEMENT_TYPE_UNSPECIFIED) {
      type = *DecodeElementType(request.reply_element_type(), "");
    }
    const VoicePin& pin = work.pin();
    EncodeFrames(scratch.out.data(), scratch.frames.rows,
                 pin.version().index->dimension(), type, work.kernels(),
                 *response.mutable_frames());
    if (pin.mixed()) {
      for (const Lease& lease : pin.leases()) {
        response.add_versions(lease->record->manifest.version());
      }
    } else {
      response.set_version(pin.version().record->manifest.version());
    }
    response.set_mean_distance(blend_.mean_distance());
    response.set_mean_shift(blend_.mean_shift());
    response.set_degradation(budget.degradation());
    EffectiveBlend effective = blend_.leading().effective;
    effective.search = budget.effective();
    messages_.Report(effective);
  }

  VoiceBlend blend_;
  StreamMessages<v1::BlendRequest, v1::BlendResponse, v1::BlendParams,
                 EffectiveBlend>
      messages_;
};

}  // namespace

std::unique_ptr<CallHandler> NewBlendHandler(Call& call,
                                             ServiceContext& context) {
  return std::make_unique<ExchangeHandler>(
      call, context, Rpc::kBlend,
      std::make_unique<BlendAnswerer>(context.server_info.max_message_bytes()));
}

}  // namespace timbre
