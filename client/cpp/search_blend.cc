// Client's Search and Blend.
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cpp/batches.h"
#include "client/cpp/call.h"
#include "client/cpp/client.h"
#include "client/cpp/connection.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"

namespace timbre::client {
namespace {

constexpr uint64_t kMaxResults = 1 << 20;  // rows * k of a Search
constexpr uint32_t kDefaultK = 8;
// Messages of 1 MiB that wait for their answers. Some, so that the server never
// waits for the next one; no more, since behind a proxy what waits to be read
// can stand before the window updates without which no answer comes. The server
// reads 4 MiB ahead.
constexpr int kMaxAhead = 3;
constexpr char kSearch[] = "/timbre.v1.Retrieval/Search";
constexpr char kBlend[] = "/timbre.v1.Retrieval/Blend";

// Sums up what each message of a Blend says of itself.
class BlendCollector {
 public:
  explicit BlendCollector(const FrameMatrix& frames) {
    result_.frames.columns = frames.columns;
  }

  void Add(const v1::BlendResponse& response) {
    const size_t before = result_.frames.data.size();
    AppendFrames(response.frames(), result_.frames.data);
    const double rows =
        static_cast<double>(result_.frames.data.size() - before) /
        std::max(1U, result_.frames.columns);
    result_.mean_distance += rows * response.mean_distance();
    result_.mean_shift += rows * response.mean_shift();
    if (response.has_effective()) result_.effective = response.effective();
    result_.version = response.version();
    result_.versions.assign(response.versions().begin(),
                            response.versions().end());
  }

  BlendResult Finish(uint64_t rows) {
    result_.frames.rows = rows;
    if (rows > 0) {
      result_.mean_distance /= static_cast<double>(rows);
      result_.mean_shift /= static_cast<double>(rows);
    }
    return std::move(result_);
  }

 private:
  BlendResult result_;
};

}  // namespace

absl::StatusOr<SearchResult> Client::Search(const VoiceRef& voice,
                                            const v1::SearchParams& params,
                                            const FrameMatrix& frames) {
  TIMBRE_RETURN_IF_ERROR(connection_->Await());
  v1::SearchRequest first;
  first.set_speaker(voice.speaker);
  first.set_version(voice.version);
  *first.mutable_params() = params;
  SearchResult result;
  const uint64_t max_rows =
      std::max<uint64_t>(1, kMaxResults / std::max(params.k(), kDefaultK));
  Batches batches(frames, max_rows);
  Call<v1::SearchRequest, v1::SearchResponse> call(*connection_, kSearch,
                                                   voice.speaker);
  TIMBRE_RETURN_IF_ERROR(call.Run(
      [&](v1::SearchRequest& request) {
        // The first message alone names voice and parameters.
        request = std::exchange(first, v1::SearchRequest());
        return batches.Next(*request.mutable_frames());
      },
      [&](const v1::SearchResponse& response) {
        AppendBytes(response.neighbors().ids(), result.ids.data);
        AppendBytes(response.neighbors().distances(), result.distances.data);
        if (response.has_effective()) result.effective = response.effective();
        result.version = response.version();
        result.ids.columns = response.neighbors().k();
      },
      kMaxAhead));
  result.ids.rows = frames.rows;
  result.distances.rows = frames.rows;
  result.distances.columns = result.ids.columns;
  return result;
}

absl::StatusOr<BlendResult> Client::Blend(const VoiceRef& voice,
                                          const BlendOptions& options,
                                          const FrameMatrix& frames) {
  const std::vector<float>& rates = options.frame_index_rates;
  if (!rates.empty() && rates.size() != frames.rows) {
    return InvalidField("frame_index_rates",
                        absl::StrCat(rates.size(), " rates"),
                        absl::StrCat(frames.rows, ", one per frame"));
  }
  TIMBRE_RETURN_IF_ERROR(connection_->Await());
  v1::BlendRequest first;
  first.set_speaker(voice.speaker);
  first.set_version(voice.version);
  NameVoices(options.voices, first);
  if (options.params) *first.mutable_params() = *options.params;
  Batches batches(frames, kAnyRows);
  BlendCollector collector(frames);
  Call<v1::BlendRequest, v1::BlendResponse> call(
      *connection_, kBlend,
      options.voices.empty() ? voice.speaker : options.voices[0].voice.speaker);
  TIMBRE_RETURN_IF_ERROR(call.Run(
      [&](v1::BlendRequest& request) {
        request = std::exchange(first, v1::BlendRequest());
        Batches::Rows rows;
        if (!batches.Next(*request.mutable_frames(), &rows)) return false;
        request.set_reply_element_type(options.reply_element_type);
        if (!rates.empty()) {
          request.set_frame_index_rates(rates.data() + rows.first,
                                        rows.count * sizeof(float));
        }
        return true;
      },
      [&](const v1::BlendResponse& response) { collector.Add(response); },
      kMaxAhead));
  return collector.Finish(frames.rows);
}

absl::StatusOr<uint64_t> Client::Warm(const VoiceRef& voice) {
  TIMBRE_RETURN_IF_ERROR(connection_->Await());
  v1::SearchRequest request;  // without frames
  request.set_speaker(voice.speaker);
  request.set_version(voice.version);
  Call<v1::SearchRequest, v1::SearchResponse> call(*connection_, kSearch,
                                                   voice.speaker);
  uint64_t version = 0;
  TIMBRE_RETURN_IF_ERROR(
      call.RunOne(request, [&version](const v1::SearchResponse& response) {
        version = response.version();
      }));
  if (version == 0) return absl::InternalError("the call ended unanswered");
  return version;
}

SearchStream Client::OpenSearch(const VoiceRef& voice) {
  return {{connection_, kSearch, voice.speaker}, voice};
}

BlendStream Client::OpenBlend(const VoiceRef& voice) {
  return {{connection_, kBlend, voice.speaker}, voice};
}

}  // namespace timbre::client
