#include <google/protobuf/util/message_differencer.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/service/contract/search_params.h"
#include "server/service/live/exchange_handler.h"
#include "server/service/live/handlers.h"
#include "server/service/live/voice_blend.h"
#include "server/service/transport/message_codec.h"

namespace timbre {
namespace {

class BlendHandler : public ExchangeHandler {
 public:
  BlendHandler(Call& call, ServiceContext& context)
      : ExchangeHandler(call, context, Rpc::kBlend) {}

 protected:
  absl::Status Parse(grpc::ByteBuffer& bytes) override {
    TIMBRE_RETURN_IF_ERROR(ParseMessage(
        bytes, request_, context().server_info.max_message_bytes()));
    TIMBRE_RETURN_IF_ERROR(AcceptVoice());
    TIMBRE_RETURN_IF_ERROR(
        DecodeElementType(request_.reply_element_type(), "reply_element_type")
            .status());
    if (!request_.has_params()) return absl::OkStatus();
    TIMBRE_RETURN_IF_ERROR(CheckBlendParams(request_.params()));
    params_ = request_.params();
    ForgetFrameTime();
    return absl::OkStatus();
  }

  absl::StatusOr<Answer> Reply() override {
    WorkerScratch& scratch = ThisWorkersScratch();
    const FrameBatch& frames = scratch.frames;
    TIMBRE_RETURN_IF_ERROR(Decode(request_.frames(), scratch.frames));
    TIMBRE_RETURN_IF_ERROR(blend_.Begin(pin(), params_));
    const ResolvedBlend& leading = blend_.leading();
    TIMBRE_RETURN_IF_ERROR(DecodeRates(request_.frame_index_rates(),
                                       frames.rows, leading.index_rate,
                                       scratch.rates));
    scratch.out.resize(frames.data.size());
    const BlendMessage message{.frames = frames.data.data(),
                               .rates = scratch.rates.data(),
                               .out = scratch.out.data()};
    LatencyBudget budget =
        BudgetOf(leading.search, blend_.leading_version(), true);
    TIMBRE_RETURN_IF_ERROR(
        InPieces(frames.rows, budget, [&](const Piece& piece) {
          return blend_.BlendPiece(piece, message, ThisWorkersScratch());
        }));
    ServerMetrics& metrics = *context().metrics;
    metrics.ObserveStage(Rpc::kBlend, Stage::kSearch,
                         time_in_pieces() - blend_.blend_time());
    metrics.ObserveStage(Rpc::kBlend, Stage::kBlend, blend_.blend_time());
    const StageTimer timer(metrics, Rpc::kBlend, Stage::kEncode);
    FillResponse(budget, scratch);
    return Answer{.message = SerializeMessage(response_),
                  .rows = frames.rows,
                  .nprobe_label = LabelOf(leading.search, budget),
                  .degradation = budget.degradation()};
  }

  void Forget() override {
    request_ = {};
    response_ = {};
  }

 private:
  absl::Status AcceptVoice() {
    const absl::string_view header = call().Metadata("timbre-speaker");
    if (request_.voices_size() == 0) {
      return pin().Accept(header, request_.speaker(), request_.version());
    }
    if (!request_.speaker().empty() || request_.version() != 0) {
      return InvalidField("speaker",
                          absl::StrCat("\"", request_.speaker(), "\" version ",
                                       request_.version()),
                          "empty where `voices` are given");
    }
    return pin().AcceptVoices(header, request_.voices());
  }

  void FillResponse(const LatencyBudget& budget, const WorkerScratch& scratch) {
    response_.Clear();
    ElementType type = scratch.frames.element_type;
    if (request_.reply_element_type() != v1::ELEMENT_TYPE_UNSPECIFIED) {
      type = *DecodeElementType(request_.reply_element_type(), "");
    }
    EncodeFrames(scratch.out.data(), scratch.frames.rows,
                 pin().version().index->dimension(), type, *context().kernels,
                 *response_.mutable_frames());
    if (pin().mixed()) {
      for (const Lease& lease : pin().leases()) {
        response_.add_versions(lease->record->manifest.version());
      }
    } else {
      response_.set_version(pin().version().record->manifest.version());
    }
    response_.set_mean_distance(blend_.mean_distance());
    response_.set_mean_shift(blend_.mean_shift());
    response_.set_degradation(budget.degradation());
    v1::BlendParams effective = blend_.leading().effective;
    *effective.mutable_search() = budget.effective();
    if (!google::protobuf::util::MessageDifferencer::Equals(effective,
                                                            effective_)) {
      effective_ = effective;
      *response_.mutable_effective() = effective_;
    }
  }

  VoiceBlend blend_;
  v1::BlendRequest request_;
  v1::BlendParams params_;     // those that hold now
  v1::BlendParams effective_;  // as last reported
  v1::BlendResponse response_;
};

}  // namespace

std::unique_ptr<CallHandler> NewBlendHandler(Call& call,
                                             ServiceContext& context) {
  return std::make_unique<BlendHandler>(call, context);
}

}  // namespace timbre
