#include "server/service/blend_rpc.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/service/exchange_handler.h"
#include "server/service/message_codec.h"
#include "server/service/search_params.h"

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
    if (request_.voices_size() > 0) {
      return MakeError(absl::StatusCode::kUnimplemented, "NOT_IMPLEMENTED",
                       "voices: this server does not mix voices yet; name "
                       "one speaker");
    }
    TIMBRE_RETURN_IF_ERROR(pin().Accept(call().Metadata("timbre-speaker"),
                                        request_.speaker(),
                                        request_.version()));
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
    const LoadedVersion& version = pin().version();
    WorkerScratch& scratch = ThisWorkersScratch();
    const FrameBatch& frames = scratch.frames;
    TIMBRE_RETURN_IF_ERROR(Decode(request_.frames(), scratch.frames));
    TIMBRE_ASSIGN_OR_RETURN(const ResolvedBlend blend,
                            ResolveBlend(params_, version));
    TIMBRE_RETURN_IF_ERROR(
        FillRates(blend.index_rate, frames.rows, scratch.rates));
    BlendTotals totals;
    LatencyBudget budget = BudgetOf(blend.search, true);
    TIMBRE_RETURN_IF_ERROR(
        MixAll(*version.index, blend, budget, scratch, totals));
    const StageTimer timer(*context().metrics, Rpc::kBlend, Stage::kEncode);
    FillResponse(version, blend, budget, scratch, totals);
    return Answer{.message = SerializeMessage(response_),
                  .rows = frames.rows,
                  .nprobe_label = LabelOf(blend.search, budget),
                  .degradation = budget.degradation()};
  }

 private:
  absl::Status FillRates(float index_rate, uint64_t rows,
                         std::vector<float>& rates) const {
    const std::string& sent = request_.frame_index_rates();
    rates.assign(rows, index_rate);
    if (sent.empty()) return absl::OkStatus();
    if (sent.size() != rows * sizeof(float)) {
      return InvalidField(
          "frame_index_rates", absl::StrCat(sent.size(), " bytes"),
          absl::StrCat(rows * sizeof(float), " bytes, one float32 a frame"));
    }
    std::memcpy(rates.data(), sent.data(), sent.size());
    for (size_t i = 0; i < rows; ++i) {
      if (rates[i] >= 0 && rates[i] <= 1) continue;
      return InvalidField("frame_index_rates",
                          absl::StrCat(rates[i], " at frame ", i), "0..1");
    }
    return absl::OkStatus();
  }

  absl::Status MixAll(const SpeakerIndex& index, const ResolvedBlend& blend,
                      LatencyBudget& budget, WorkerScratch& scratch,
                      BlendTotals& totals) {
    const FrameBatch& frames = scratch.frames;
    const size_t n = index.dimension();
    scratch.out.resize(frames.data.size());
    absl::Duration total;
    absl::Duration blending;
    const auto piece = [&](uint64_t first, uint64_t rows,
                           const std::optional<SearchSettings>& settings) {
      if (!settings) {
        std::copy_n(frames.data.data() + first * n, rows * n,
                    scratch.out.data() + first * n);
        return absl::OkStatus();
      }
      const absl::Time start = absl::Now();
      absl::Status status = index.Search(
          frames.data.data() + first * n, rows, *settings, scratch.search,
          [&](const FoundTile& tile) {
            const absl::Time found = absl::Now();
            const size_t at = first + tile.first;
            Blend(index, frames.data.data() + at * n, tile.count,
                  {blend.search.settings.k, tile.ids, tile.distances},
                  scratch.rates.data() + at, blend.settings, scratch.blend,
                  scratch.out.data() + at * n, totals);
            blending += absl::Now() - found;
          });
      total += absl::Now() - start;
      return status.ok() ? index.store().Check() : status;
    };
    TIMBRE_RETURN_IF_ERROR(InPieces(frames.rows, budget, piece));
    context().metrics->ObserveStage(Rpc::kBlend, Stage::kSearch,
                                    total - blending);
    context().metrics->ObserveStage(Rpc::kBlend, Stage::kBlend, blending);
    return absl::OkStatus();
  }

  void FillResponse(const LoadedVersion& version, const ResolvedBlend& blend,
                    const LatencyBudget& budget, const WorkerScratch& scratch,
                    const BlendTotals& totals) {
    response_.Clear();
    ElementType type = scratch.frames.element_type;
    if (request_.reply_element_type() != v1::ELEMENT_TYPE_UNSPECIFIED) {
      type = *DecodeElementType(request_.reply_element_type(), "");
    }
    EncodeFrames(scratch.out.data(), scratch.frames.rows,
                 version.index->dimension(), type, *context().kernels,
                 *response_.mutable_frames());
    response_.set_version(version.record->manifest.version());
    if (totals.frames_with_neighbor > 0) {
      response_.set_mean_distance(
          static_cast<float>(totals.nearest_distance /
                             static_cast<double>(totals.frames_with_neighbor)));
    }
    if (totals.frames_with_norm > 0) {
      response_.set_mean_shift(static_cast<float>(
          totals.shift / static_cast<double>(totals.frames_with_norm)));
    }
    response_.set_degradation(budget.degradation());
    v1::BlendParams effective = blend.effective;
    *effective.mutable_search() = budget.effective();
    if (!google::protobuf::util::MessageDifferencer::Equals(effective,
                                                            effective_)) {
      effective_ = effective;
      *response_.mutable_effective() = effective_;
    }
  }

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
