// timbre search SPEAKER in.npy
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "client/cli/command.h"
#include "client/cli/download.h"
#include "client/cli/exact_search.h"
#include "client/cli/search_options.h"
#include "client/cli/version_json.h"
#include "client/files/npy.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"

namespace timbre::cli {
namespace {

struct SearchArguments {
  Common common;
  client::VoiceRef voice;
  v1::SearchParams params;
  std::string input;
  std::string out;
  bool recall = false;
};

// The two files of --out; none where it is left out.
absl::StatusOr<std::vector<std::string>> OutputPaths(const std::string& out) {
  if (out.empty()) return std::vector<std::string>();
  std::vector<std::string> paths = absl::StrSplit(out, ',');
  if (paths.size() != 2 || paths[0].empty() || paths[1].empty() ||
      paths[0] == paths[1]) {
    return InvalidField("--out", out,
                        "two different files: ids.npy,distances.npy");
  }
  return paths;
}

// From the voice's own frames, fetched for the purpose.
absl::StatusOr<double> MeasureRecall(client::Client& client,
                                     const SearchArguments& arguments,
                                     const client::FrameMatrix& queries,
                                     const client::SearchResult& result) {
  TIMBRE_ASSIGN_OR_RETURN(const v1::Speaker speaker,
                          client.GetSpeaker(arguments.voice.speaker));
  for (const v1::SpeakerVersion& version : speaker.versions()) {
    if (version.version() == result.version &&
        version.metric() != v1::METRIC_L2) {
      return InvalidField("--recall", MetricText(version.metric()),
                          "left out: it measures voices of metric L2");
    }
  }
  const std::string path = (std::filesystem::temp_directory_path() /
                            absl::StrCat("timbre-recall-", getpid(), ".npy"))
                               .string();
  TIMBRE_RETURN_IF_ERROR(Download(client,
                                  {arguments.voice.speaker, result.version},
                                  v1::EXPORT_FORMAT_NPY, path));
  const auto frames = client::ReadNpy(path);
  std::filesystem::remove(path);
  if (!frames.ok()) return frames.status();
  return RecallOf(result, ExactSearch(*frames, queries, result.ids.columns));
}

void PrintHead(const client::SearchResult& result) {
  constexpr uint64_t kShown = 5;
  std::vector<std::vector<std::string>> rows = {
      {"frame", "nearest", "distance", "then"}};
  for (uint64_t i = 0; i < std::min(result.ids.rows, kShown); ++i) {
    std::string others;
    for (uint32_t j = 1; j < result.ids.columns && j < 8; ++j) {
      absl::StrAppend(&others, j > 1 ? " " : "", result.ids.row(i)[j]);
    }
    rows.push_back({absl::StrCat(i), absl::StrCat(result.ids.row(i)[0]),
                    absl::StrFormat("%.3f", result.distances.row(i)[0]),
                    others});
  }
  PrintTable(rows);
  if (result.ids.rows > kShown) {
    std::cout << "... " << result.ids.rows - kShown
              << " more; --out=ids.npy,distances.npy keeps them\n";
  }
}

absl::Status Run(const SearchArguments& arguments) {
  TIMBRE_ASSIGN_OR_RETURN(const std::vector<std::string> paths,
                          OutputPaths(arguments.out));
  TIMBRE_ASSIGN_OR_RETURN(const client::FrameMatrix frames,
                          client::ReadNpy(arguments.input));
  client::Client client = arguments.common.Connect();
  TIMBRE_ASSIGN_OR_RETURN(
      const client::SearchResult result,
      client.Search(arguments.voice, arguments.params, frames));
  if (!paths.empty()) {
    TIMBRE_RETURN_IF_ERROR(client::WriteNpy(paths[0], result.ids));
    TIMBRE_RETURN_IF_ERROR(client::WriteNpy(paths[1], result.distances));
  }
  double recall = -1;
  if (arguments.recall) {
    TIMBRE_ASSIGN_OR_RETURN(recall,
                            MeasureRecall(client, arguments, frames, result));
  }
  if (arguments.common.json) {
    nlohmann::json json = {{"speaker", arguments.voice.speaker},
                           {"version", result.version},
                           {"frames", frames.rows},
                           {"effective", ToJson(result.effective)},
                           {"ids", nlohmann::json::array()},
                           {"distances", nlohmann::json::array()}};
    for (uint64_t i = 0; i < frames.rows && arguments.out.empty(); ++i) {
      json["ids"].push_back(std::vector<int64_t>(
          result.ids.row(i), result.ids.row(i) + result.ids.columns));
      json["distances"].push_back(
          std::vector<float>(result.distances.row(i),
                             result.distances.row(i) + result.ids.columns));
    }
    if (arguments.recall) json["recall"] = recall;
    PrintJson(json);
    return absl::OkStatus();
  }
  if (arguments.out.empty()) PrintHead(result);
  std::cout << absl::StrFormat(
      "%d frames, version %d, k %d, nprobe %d, k_factor %g\n", frames.rows,
      result.version, result.ids.columns, result.effective.nprobe(),
      result.effective.k_factor());
  if (result.effective.target_recall() > 0) {
    std::cout << absl::StrFormat(
        "recall@8 of this setting, as measured: %.4f\n",
        result.effective.target_recall());
  }
  if (arguments.recall) {
    std::cout << absl::StrFormat("recall@%d against exact search: %.4f\n",
                                 result.ids.columns, recall);
  }
  return absl::OkStatus();
}

}  // namespace

void AddSearch(CLI::App& app, int* exit_code) {
  auto arguments = std::make_shared<SearchArguments>();
  CLI::App& command = *app.add_subcommand(
      "search", "Find the nearest training frames of every frame.");
  AddCommonOptions(command, arguments->common);
  AddSearchOptions(command, arguments->voice, arguments->params);
  command.add_option("input", arguments->input, "frames, .npy")->required();
  command.add_option("--out", arguments->out,
                     "ids.npy,distances.npy: where to keep the result");
  command.add_flag("--recall", arguments->recall,
                   "compare with exact search, made here from the voice's own "
                   "frames (slow for large voices; L2 alone)");
  SetBody(command, exit_code, arguments->common,
          [arguments] { return Run(*arguments); });
}

}  // namespace timbre::cli
