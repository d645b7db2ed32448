// Retrieval.Search.
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/service/contract/search_params.h"
#include "server/service/live/answerer.h"
#include "server/service/live/exchange_handler.h"
#include "server/service/live/handlers.h"
#include "server/service/live/worker_scratch.h"

namespace timbre {
namespace {

constexpr uint64_t kMaxResults = 1 << 20;

class SearchAnswerer : public Answerer {
 public:
  explicit SearchAnswerer(uint64_t max_message_bytes)
      : messages_(max_message_bytes) {}

  absl::StatusOr<bool> Parse(grpc::ByteBuffer& bytes, absl::string_view header,
                             VoicePin& pin) override {
    TIMBRE_RETURN_IF_ERROR(messages_.Parse(bytes));
    const v1::SearchRequest& request = messages_.request();
    TIMBRE_RETURN_IF_ERROR(
        pin.Accept(header, request.speaker(), request.version()));
    return messages_.TakeParams([](const v1::SearchParams& params) {
      return CheckSearchParams(params);
    });
  }

  bool HasFrames() const override { return messages_.has_frames(); }

  absl::StatusOr<Answer> Reply(MessageWork& work) override {
    const LoadedVersion& version = work.pin().version();
    FrameBatch& frames = ThisWorkersScratch().frames;
    TIMBRE_RETURN_IF_ERROR(work.Decode(messages_.request().frames(), frames));
    TIMBRE_ASSIGN_OR_RETURN(const ResolvedSearch search,
                            ResolveSearch(messages_.params(), version));
    TIMBRE_RETURN_IF_ERROR(CheckSize(search.settings.k, frames.rows));
    v1::SearchResponse& response = messages_.response();
    response.Clear();
    LatencyBudget budget = work.BudgetOf(search, version, false);
    TIMBRE_RETURN_IF_ERROR(Search(work, budget, frames));
    work.metrics().ObserveStage(Rpc::kSearch, Stage::kSearch,
                                work.time_in_pieces());
    const StageTimer timer(work.metrics(), Rpc::kSearch, Stage::kEncode);
    response.mutable_neighbors()->set_k(search.settings.k);
    response.set_version(version.record->manifest.version());
    response.set_degradation(budget.degradation());
    messages_.Report(budget.effective());
    return Answer{.message = SerializeMessage(response),
                  .rows = frames.rows,
                  .nprobe_label = LabelOf(search, budget),
                  .degradation = budget.degradation()};
  }

  void Forget() override { messages_.Forget(); }

 private:
  static absl::Status CheckSize(uint32_t k, uint64_t rows) {
    if (rows * k <= kMaxResults) return absl::OkStatus();
    return InvalidField("frames.data", absl::StrCat(rows, " rows at k ", k),
                        absl::StrCat("at most ", kMaxResults, " rows * k"));
  }

  // Straight into the response: ids and distances are copied nowhere.
  absl::Status Search(MessageWork& work, LatencyBudget& budget,
                      const FrameBatch& frames) {
    const SpeakerIndex& index = *work.pin().version().index;
    const size_t k = budget.settings().k;
    v1::Neighbors& neighbors = *messages_.response().mutable_neighbors();
    std::string& ids = *neighbors.mutable_ids();
    std::string& distances = *neighbors.mutable_distances();
    ids.resize(frames.rows * k * sizeof(int64_t));
    distances.resize(frames.rows * k * sizeof(float));
    return work.InPieces(frames.rows, budget, [&](const Piece& piece) {
      return index.Search(
          frames.data.data() + piece.first * index.dimension(), piece.rows,
          *piece.settings, ThisWorkersScratch().search,
          reinterpret_cast<int64_t*>(ids.data()) + piece.first * k,
          reinterpret_cast<float*>(distances.data()) + piece.first * k);
    });
  }

  StreamMessages<v1::SearchRequest, v1::SearchResponse, v1::SearchParams,
                 EffectiveSearch>
      messages_;
};

}  // namespace

std::unique_ptr<CallHandler> NewSearchHandler(Call& call,
                                              ServiceContext& context) {
  return std::make_unique<ExchangeHandler>(
      call, context, Rpc::kSearch,
      std::make_unique<SearchAnswerer>(
          context.server_info.max_message_bytes()));
}

}  // namespace timbre
