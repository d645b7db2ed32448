// timbre tune SPEAKER queries.npy
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/command.h"
#include "client/cli/tuning_page.h"
#include "client/cli/version_json.h"
#include "client/files/feature_files.h"
#include "server/base/status_macros.h"

namespace timbre::cli {
namespace {

struct TuneArguments {
  Common common;
  client::VoiceRef voice;
  client::TuneOptions options;
  std::string input;
  std::string html;
};

constexpr uint32_t kAppliedK = 8;  // what a version keeps is measured at
constexpr float kDefaultTarget = 0.95F;
constexpr uint64_t kFewQueries = 200;

float TargetOf(const TuneArguments& arguments) {
  const float target = arguments.options.target_recall;
  return target > 0 ? target : kDefaultTarget;
}

// What became of the target, in a sentence.
std::string Outcome(const TuneArguments& arguments,
                    const v1::TuneResponse& response) {
  const v1::SearchParams& chosen = response.chosen();
  std::string text = absl::StrFormat(
      "For a target of %g: nprobe %d, k_factor %g, measured %.4f",
      TargetOf(arguments), chosen.nprobe(), chosen.k_factor(),
      chosen.target_recall());
  if (chosen.target_recall() < TargetOf(arguments)) {
    absl::StrAppend(&text, ", the best there is; no setting reaches it");
  }
  if (arguments.options.apply) {
    absl::StrAppend(&text, ". These are the version's defaults now.");
  } else if (chosen.k() == kAppliedK) {
    absl::StrAppend(&text, "; --apply makes them the version's defaults.");
  } else {
    absl::StrAppend(&text, ". Only what is measured at k 8 can be applied.");
  }
  return text;
}

void PrintSummary(const TuneArguments& arguments,
                  const v1::TuneResponse& response) {
  PrintTable(TuningTable(response));
  std::cout << absl::StrFormat("Version %d, measured on %d frames. %s\n",
                               response.version(), response.frames(),
                               Outcome(arguments, response));
  if (response.frames() < kFewQueries) {
    std::cout << "These are few frames: measure on some hundred to be sure.\n";
  }
}

// The frames of a file, or of a directory as `timbre build` reads it.
absl::StatusOr<client::FrameMatrix> ReadQueries(const std::string& input) {
  TIMBRE_ASSIGN_OR_RETURN(std::vector<std::string> files,
                          client::ListFeatureFiles({input}));
  client::FeatureReader reader(std::move(files));
  client::FrameMatrix queries;
  while (true) {
    TIMBRE_ASSIGN_OR_RETURN(const auto part, reader.Next());
    if (!part) break;
    queries.columns = part->columns;
    queries.rows += part->rows;
    queries.data.insert(queries.data.end(), part->data.begin(),
                        part->data.end());
  }
  return queries;
}

absl::Status Run(const TuneArguments& arguments) {
  TIMBRE_ASSIGN_OR_RETURN(const client::FrameMatrix queries,
                          ReadQueries(arguments.input));
  client::Client client = arguments.common.Connect();
  TIMBRE_ASSIGN_OR_RETURN(
      const v1::TuneResponse response,
      client.Tune(arguments.voice, arguments.options, queries));
  // Told first: what was applied stays so if the page cannot be written.
  if (arguments.common.json) {
    PrintJson(ToJson(response));
  } else {
    PrintSummary(arguments, response);
  }
  return WriteText(arguments.html,
                   TuningHtml(absl::StrCat("Voice ", arguments.voice.speaker),
                              Outcome(arguments, response), response));
}

}  // namespace

void AddTune(CLI::App& app, int* exit_code) {
  auto arguments = std::make_shared<TuneArguments>();
  CLI::App& command = *app.add_subcommand(
      "tune",
      "Measure recall, blend error and cost of a voice's settings on your own "
      "queries, and choose the cheapest that is good enough.");
  // It waits its turn among the builds, and says nothing until it is done.
  AddCommonOptions(command, arguments->common, absl::Minutes(10));
  command.add_option("speaker", arguments->voice.speaker)->required();
  command
      .add_option("queries", arguments->input,
                  "frames to be converted, of another voice than this one: a "
                  ".npy file or a directory of them; at most 100,000 frames")
      ->required();
  command.add_option("--version", arguments->voice.version,
                     "0: the active one");
  command.add_option("--k", arguments->options.k, "1..1024; 0: 8");
  command
      .add_option("--target_recall", arguments->options.target_recall,
                  "what the chosen setting must reach, above 0 and at most 1; "
                  "0: 0.95")
      ->check(CLI::Range(0.0, 1.0));
  command.add_flag("--apply", arguments->options.apply,
                   "search the version so from now on, also after a restart; "
                   "with k 8 alone");
  command.add_option("--html", arguments->html,
                     "a page with the curve, for a browser");
  SetBody(command, exit_code, arguments->common,
          [arguments] { return Run(*arguments); });
}

}  // namespace timbre::cli
