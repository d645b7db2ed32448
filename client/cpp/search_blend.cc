// Client's Search and Blend.
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cpp/batches.h"
#include "client/cpp/client.h"
#include "client/cpp/status.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"

namespace timbre::client {
namespace {

constexpr uint64_t kMaxResults = 1 << 20;  // rows * k of a Search
constexpr uint32_t kDefaultK = 8;

// Writes all of `frames` on a thread of its own, so that answers are read
// while requests are sent: two full pipes would wait for each other. `fill`
// adds what each message needs for its rows [first, first + rows).
template <typename Request, typename Stream, typename Fill, typename Receive>
absl::Status Exchange(Stream& stream, Request request,
                      const FrameMatrix& frames, uint64_t max_rows, Fill fill,
                      Receive receive) {
  std::thread writer([&] {
    ForEachMessage(frames, max_rows, [&](uint64_t first, uint64_t rows) {
      FillFrames(frames, first, rows, *request.mutable_frames());
      fill(first, rows, request);
      const bool sent = stream.Write(request);
      request.Clear();  // the first message alone names voice and parameters
      return sent;
    });
    stream.WritesDone();
  });
  receive();
  writer.join();
  return FromGrpcStatus(stream.Finish());
}

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
  const auto context = NewContext(voice.speaker);
  const auto stream = retrieval_->Search(context.get());
  v1::SearchRequest request;
  request.set_speaker(voice.speaker);
  request.set_version(voice.version);
  *request.mutable_params() = params;
  SearchResult result;
  const uint64_t max_rows =
      std::max<uint64_t>(1, kMaxResults / std::max(params.k(), kDefaultK));
  TIMBRE_RETURN_IF_ERROR(Exchange(
      *stream, request, frames, max_rows,
      [](uint64_t, uint64_t, v1::SearchRequest&) {},
      [&] {
        v1::SearchResponse response;
        while (stream->Read(&response)) {
          AppendBytes(response.neighbors().ids(), result.ids.data);
          AppendBytes(response.neighbors().distances(), result.distances.data);
          if (response.has_effective()) result.effective = response.effective();
          result.version = response.version();
          result.ids.columns = response.neighbors().k();
        }
      }));
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
  v1::BlendRequest request;
  request.set_speaker(voice.speaker);
  request.set_version(voice.version);
  for (const WeightedVoice& each : options.voices) {
    v1::VoiceWeight& message = *request.add_voices();
    message.set_speaker(each.voice.speaker);
    message.set_version(each.voice.version);
    message.set_weight(each.weight);
  }
  const auto context = NewContext(
      options.voices.empty() ? voice.speaker : options.voices[0].voice.speaker);
  const auto stream = retrieval_->Blend(context.get());
  if (options.params) *request.mutable_params() = *options.params;
  BlendCollector collector(frames);
  TIMBRE_RETURN_IF_ERROR(Exchange(
      *stream, request, frames, kAnyRows,
      [&](uint64_t first, uint64_t rows, v1::BlendRequest& message) {
        message.set_reply_element_type(options.reply_element_type);
        if (rates.empty()) return;
        message.set_frame_index_rates(rates.data() + first,
                                      rows * sizeof(float));
      },
      [&] {
        v1::BlendResponse response;
        while (stream->Read(&response)) collector.Add(response);
      }));
  return collector.Finish(frames.rows);
}

SearchStream Client::OpenSearch(const VoiceRef& voice) {
  auto context = NewContext(voice.speaker);
  auto call = retrieval_->Search(context.get());
  return {{std::move(context), std::move(call)}, voice};
}

BlendStream Client::OpenBlend(const VoiceRef& voice) {
  auto context = NewContext(voice.speaker);
  auto call = retrieval_->Blend(context.get());
  return {{std::move(context), std::move(call)}, voice};
}

}  // namespace timbre::client
