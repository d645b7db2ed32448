#include <google/protobuf/util/message_differencer.h>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/service/contract/search_params.h"
#include "server/service/live/exchange_handler.h"
#include "server/service/live/handlers.h"
#include "server/service/transport/message_codec.h"

namespace timbre {
namespace {

constexpr uint64_t kMaxResults = 1 << 20;

class SearchHandler : public ExchangeHandler {
 public:
  SearchHandler(Call& call, ServiceContext& context)
      : ExchangeHandler(call, context, Rpc::kSearch) {}

 protected:
  absl::Status Parse(grpc::ByteBuffer& bytes) override {
    TIMBRE_RETURN_IF_ERROR(ParseMessage(
        bytes, request_, context().server_info.max_message_bytes()));
    TIMBRE_RETURN_IF_ERROR(pin().Accept(call().Metadata("timbre-speaker"),
                                        request_.speaker(),
                                        request_.version()));
    if (!request_.has_params()) return absl::OkStatus();
    TIMBRE_RETURN_IF_ERROR(CheckSearchParams(request_.params()));
    params_ = request_.params();
    ForgetFrameTime();
    return absl::OkStatus();
  }

  absl::StatusOr<Answer> Reply() override {
    const LoadedVersion& version = pin().version();
    WorkerScratch& scratch = ThisWorkersScratch();
    TIMBRE_RETURN_IF_ERROR(Decode(request_.frames(), scratch.frames));
    TIMBRE_ASSIGN_OR_RETURN(const ResolvedSearch search,
                            ResolveSearch(params_, version));
    TIMBRE_RETURN_IF_ERROR(CheckSize(search.settings.k, scratch.frames.rows));
    response_.Clear();
    LatencyBudget budget = BudgetOf(search, version, false);
    TIMBRE_RETURN_IF_ERROR(Search(budget, scratch.frames));
    context().metrics->ObserveStage(Rpc::kSearch, Stage::kSearch,
                                    time_in_pieces());
    const StageTimer timer(*context().metrics, Rpc::kSearch, Stage::kEncode);
    response_.mutable_neighbors()->set_k(search.settings.k);
    response_.set_version(version.record->manifest.version());
    response_.set_degradation(budget.degradation());
    if (!google::protobuf::util::MessageDifferencer::Equals(budget.effective(),
                                                            effective_)) {
      effective_ = budget.effective();
      *response_.mutable_effective() = effective_;
    }
    return Answer{.message = SerializeMessage(response_),
                  .rows = scratch.frames.rows,
                  .nprobe_label = LabelOf(search, budget),
                  .degradation = budget.degradation()};
  }

  void Forget() override {
    request_ = {};
    response_ = {};
  }

 private:
  static absl::Status CheckSize(uint32_t k, uint64_t rows) {
    if (rows * k <= kMaxResults) return absl::OkStatus();
    return InvalidField("frames.data", absl::StrCat(rows, " rows at k ", k),
                        absl::StrCat("at most ", kMaxResults, " rows * k"));
  }

  // Straight into the response: ids and distances are copied nowhere.
  absl::Status Search(LatencyBudget& budget, const FrameBatch& frames) {
    const SpeakerIndex& index = *pin().version().index;
    const size_t k = budget.settings().k;
    std::string& ids = *response_.mutable_neighbors()->mutable_ids();
    std::string& distances =
        *response_.mutable_neighbors()->mutable_distances();
    ids.resize(frames.rows * k * sizeof(int64_t));
    distances.resize(frames.rows * k * sizeof(float));
    return InPieces(frames.rows, budget, [&](const Piece& piece) {
      return index.Search(
          frames.data.data() + piece.first * index.dimension(), piece.rows,
          *piece.settings, ThisWorkersScratch().search,
          reinterpret_cast<int64_t*>(ids.data()) + piece.first * k,
          reinterpret_cast<float*>(distances.data()) + piece.first * k);
    });
  }

  v1::SearchRequest request_;
  v1::SearchParams params_;     // those that hold now
  v1::SearchParams effective_;  // as last reported
  v1::SearchResponse response_;
};

}  // namespace

std::unique_ptr<CallHandler> NewSearchHandler(Call& call,
                                              ServiceContext& context) {
  return std::make_unique<SearchHandler>(call, context);
}

}  // namespace timbre
