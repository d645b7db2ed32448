// timbre compare SPEAKER INDEX_FILE queries.npy
#include <algorithm>
#include <iostream>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/cli/command.h"
#include "client/cli/comparison.h"
#include "client/cli/exact_search.h"
#include "client/cli/search_options.h"
#include "client/files/faiss/index_file.h"
#include "client/files/npy.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"

namespace timbre::cli {
namespace {

using client::FrameMatrix;

constexpr uint64_t kBlock = 16;  // frames of a live message
constexpr uint64_t kMaxBlocks = 200;

struct CompareArguments {
  Common common;
  client::VoiceRef voice;
  v1::SearchParams params;
  std::string index_file;
  std::string queries;
  std::string html;
  uint64_t frames = 1000;
  float rate = 0.75F;
};

// One way to convert, and the frames that it has.
struct Side {
  Contender contender;
  FrameMatrix rows;
};

FrameMatrix Rows(const FrameMatrix& from, uint64_t first, uint64_t count) {
  FrameMatrix rows{.rows = count, .columns = from.columns};
  rows.data.assign(from.row(first), from.row(first + count));
  return rows;
}

// Fills the times of `contender`: `blend` is called with frames.
template <typename Blend>
absl::Status Time(const FrameMatrix& queries, Contender& contender,
                  Blend blend) {
  std::vector<double> times;
  for (uint64_t first = 0;
       first + kBlock <= queries.rows && times.size() < kMaxBlocks;
       first += kBlock) {
    const FrameMatrix block = Rows(queries, first, kBlock);
    const absl::Time start = absl::Now();
    TIMBRE_RETURN_IF_ERROR(blend(block));
    times.push_back(absl::ToDoubleMicroseconds(absl::Now() - start) / kBlock);
  }
  if (!times.empty()) {
    const auto middle =
        times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
    std::nth_element(times.begin(), middle, times.end());
    contender.block_us = *middle;
  }
  const absl::Time start = absl::Now();
  TIMBRE_RETURN_IF_ERROR(blend(queries));
  contender.whole_us = absl::ToDoubleMicroseconds(absl::Now() - start) /
                       static_cast<double>(queries.rows);
  return absl::OkStatus();
}

// Fills what is heard: `rows` are the contender's own frames.
void Judge(const FrameMatrix& rows, const FrameMatrix& queries,
           const client::SearchResult& found, float rate,
           Contender& contender) {
  const client::SearchResult exact =
      ExactSearch(rows, queries, found.ids.columns);
  contender.recall = RecallOf(found, exact);
  contender.blend_error = MeanRelativeError(RvcBlend(rows, queries, found, 1),
                                            RvcBlend(rows, queries, exact, 1));
  contender.shift =
      MeanRelativeError(RvcBlend(rows, queries, found, rate), queries);
}

absl::StatusOr<Side> Local(const CompareArguments& arguments, uint32_t k,
                           const FrameMatrix& queries) {
  TIMBRE_ASSIGN_OR_RETURN(const client::IndexFile index,
                          client::IndexFile::Open(arguments.index_file));
  if (index.dimension() != queries.columns) {
    return InvalidField(
        "index_file", absl::StrCat(index.dimension()),
        absl::StrCat(queries.columns, " dimensions, those of the queries"));
  }
  if (index.inner_product() || !index.known_metric()) {
    return InvalidField("index_file", absl::StrCat("metric ", index.Metric()),
                        "L2");
  }
  Contender contender{.name = "local: " + index.Describe()};
  TIMBRE_ASSIGN_OR_RETURN(FrameMatrix rows, index.Read(0, index.rows()));
  TIMBRE_ASSIGN_OR_RETURN(const client::SearchResult found,
                          index.Search(queries, k));
  Judge(rows, queries, found, arguments.rate, contender);
  TIMBRE_RETURN_IF_ERROR(Time(queries, contender, [&](const FrameMatrix& x) {
    const auto near = index.Search(x, k);
    if (near.ok()) RvcBlend(rows, x, *near, arguments.rate);
    return near.status();
  }));
  return Side{std::move(contender), std::move(rows)};
}

absl::StatusOr<Side> Remote(const CompareArguments& arguments,
                            const FrameMatrix& queries) {
  client::Client client = arguments.common.Connect();
  TIMBRE_ASSIGN_OR_RETURN(
      const client::SearchResult found,
      client.Search(arguments.voice, arguments.params, queries));
  const client::VoiceRef voice{arguments.voice.speaker, found.version};
  TIMBRE_ASSIGN_OR_RETURN(FrameMatrix rows, client.ReadFrames(voice));
  Contender contender{
      .name = absl::StrFormat(
          "timbre: %s version %d, nprobe %d, k_factor %g", voice.speaker,
          voice.version, found.effective.nprobe(), found.effective.k_factor())};
  Judge(rows, queries, found, arguments.rate, contender);
  client::BlendOptions options;
  options.params.emplace();
  *options.params->mutable_search() = arguments.params;
  options.params->set_index_rate(arguments.rate);
  client::BlendStream live = client.OpenBlend(voice);
  TIMBRE_RETURN_IF_ERROR(live.Blend(Rows(queries, 0, 1), options).status());
  TIMBRE_RETURN_IF_ERROR(Time(queries, contender, [&](const FrameMatrix& x) {
    return live.Blend(x).status();
  }));
  TIMBRE_RETURN_IF_ERROR(live.Close());
  return Side{std::move(contender), std::move(rows)};
}

// The share of the index's frames, of some of them, that the voice has too, up
// to the rounding of float16.
double ShareHeld(const FrameMatrix& index, const FrameMatrix& voice) {
  constexpr uint64_t kSample = 64;
  const uint64_t count = std::min(kSample, index.rows);
  FrameMatrix sample{.rows = count, .columns = index.columns};
  for (uint64_t i = 0; i < count; ++i) {
    const float* const row = index.row(i * index.rows / count);
    sample.data.insert(sample.data.end(), row, row + index.columns);
  }
  const client::SearchResult nearest = ExactSearch(voice, sample, 1);
  uint64_t held = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const float norm = std::inner_product(sample.row(i), sample.row(i + 1),
                                          sample.row(i), 0.0F);
    held += nearest.distances.row(i)[0] <= 1e-5F * norm ? 1 : 0;
  }
  return static_cast<double>(held) / static_cast<double>(count);
}

void Print(const CompareArguments& arguments, uint64_t frames,
           const std::vector<Contender>& contenders) {
  if (arguments.common.json) {
    nlohmann::json rows = nlohmann::json::array();
    for (const Contender& each : contenders) {
      rows.push_back({{"name", each.name},
                      {"recall", each.recall},
                      {"blend_error", each.blend_error},
                      {"shift", each.shift},
                      {"block_us_per_frame", each.block_us},
                      {"whole_us_per_frame", each.whole_us}});
    }
    return PrintJson({{"frames", frames}, {"contenders", rows}});
  }
  std::vector<std::vector<std::string>> table = {
      {"", "recall", "blend error", "shift", "us/frame, 16", "us/frame, all"}};
  for (const Contender& each : contenders) {
    table.push_back({each.name, absl::StrFormat("%.3f", each.recall),
                     absl::StrFormat("%.1f %%", 100 * each.blend_error),
                     absl::StrFormat("%.1f %%", 100 * each.shift),
                     absl::StrFormat("%.1f", each.block_us),
                     absl::StrFormat("%.1f", each.whole_us)});
  }
  PrintTable(table);
  std::cout << absl::StrFormat(
      "%d frames. Recall and blend error are against exact search among each "
      "one's own frames;\nshift at index_rate %g. Local times: one thread, "
      "with the faiss of this machine's packages, which\nmay be slower than "
      "the "
      "worker's own. Timbre's: the calls, with all that they wait.\n",
      frames, arguments.rate);
}

absl::Status Run(const CompareArguments& arguments) {
  TIMBRE_ASSIGN_OR_RETURN(FrameMatrix queries,
                          client::ReadNpy(arguments.queries));
  queries = Rows(queries, 0, std::min(queries.rows, arguments.frames));
  if (queries.rows == 0) {
    return InvalidField("queries", "no frames", "at least 1");
  }
  const uint32_t k = arguments.params.k() != 0 ? arguments.params.k() : 8;
  TIMBRE_ASSIGN_OR_RETURN(const Side local, Local(arguments, k, queries));
  TIMBRE_ASSIGN_OR_RETURN(const Side remote, Remote(arguments, queries));
  if (const double share = ShareHeld(local.rows, remote.rows); share < 0.5) {
    std::cerr << absl::StrFormat(
        "timbre: warning: of the index's frames the voice has %.0f %%. Is it "
        "of another voice, or are frames reduced to centroids?\n",
        100 * share);
  }
  const std::vector<Contender> contenders = {local.contender, remote.contender};
  Print(arguments, queries.rows, contenders);
  return WriteText(arguments.html,
                   ComparisonHtml(absl::StrCat(arguments.voice.speaker,
                                               ": local faiss and Timbre"),
                                  contenders));
}

}  // namespace

void AddCompare(CLI::App& app, int* exit_code) {
  auto arguments = std::make_shared<CompareArguments>();
  CompareArguments& a = *arguments;
  CLI::App& command = *app.add_subcommand(
      "compare",
      "Does it sound the same? A worker's local index against a voice.");
  AddCommonOptions(command, a.common);
  AddSearchOptions(command, a.voice, a.params);
  command.add_option("index_file", a.index_file, "the worker's faiss index")
      ->required();
  command
      .add_option("queries", a.queries,
                  "frames to convert, .npy: of another voice")
      ->required();
  command.add_option("--frames", a.frames, "of the queries, from the first on")
      ->check(CLI::Range(uint64_t{1}, uint64_t{100'000}))
      ->capture_default_str();
  command.add_option("--index_rate", a.rate, "at which shift is measured")
      ->check(CLI::Range(0.0F, 1.0F))
      ->capture_default_str();
  command.add_option("--html", a.html, "also write a page with plots");
  SetBody(command, exit_code, a.common,
          [arguments] { return Run(*arguments); });
}

}  // namespace timbre::cli
