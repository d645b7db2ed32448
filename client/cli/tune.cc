// timbre tune SPEAKER queries.npy
#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/command.h"
#include "client/cli/tuning_page.h"
#include "client/cli/version_json.h"
#include "client/cpp/npy.h"
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

void PrintSummary(const TuneArguments& arguments,
                  const v1::TuneResponse& response) {
  PrintTable(TuningTable(response));
  std::cout << absl::StrFormat(
      "%d queries, version %d: nprobe %d, k_factor %g%s\n", response.frames(),
      response.version(), response.chosen().nprobe(),
      response.chosen().k_factor(),
      arguments.options.apply ? " are its defaults now"
                              : "; --apply makes them the version's defaults");
  constexpr float kDefaultTarget = 0.95F;
  const float target = arguments.options.target_recall > 0
                           ? arguments.options.target_recall
                           : kDefaultTarget;
  const float recall = response.chosen().target_recall();
  if (recall < target) {
    std::cout << absl::StrFormat(
        "No setting reaches %g; this is the best, %.4f.\n", target, recall);
  }
}

absl::Status Run(const TuneArguments& arguments) {
  TIMBRE_ASSIGN_OR_RETURN(const client::FrameMatrix queries,
                          client::ReadNpy(arguments.input));
  client::Client client = arguments.common.Connect();
  TIMBRE_ASSIGN_OR_RETURN(
      const v1::TuneResponse response,
      client.Tune(arguments.voice, arguments.options, queries));
  TIMBRE_RETURN_IF_ERROR(WriteText(
      arguments.html,
      TuningHtml(absl::StrCat("Voice ", arguments.voice.speaker), response)));
  if (arguments.common.json) {
    PrintJson(ToJson(response));
  } else {
    PrintSummary(arguments, response);
  }
  return absl::OkStatus();
}

}  // namespace

void AddTune(CLI::App& app, int* exit_code) {
  auto arguments = std::make_shared<TuneArguments>();
  CLI::App& command = *app.add_subcommand(
      "tune",
      "Measure recall, blend error and cost of a voice's settings on your own "
      "queries, and choose the cheapest that is good enough.");
  AddCommonOptions(command, arguments->common);
  command.add_option("speaker", arguments->voice.speaker)->required();
  command
      .add_option("queries", arguments->input,
                  "frames to be converted, of another voice than this one, "
                  ".npy, at most 100,000")
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
                   "search the version so from now on, also after a restart");
  command.add_option("--html", arguments->html,
                     "a page with the curve, for a browser");
  SetBody(command, exit_code, arguments->common,
          [arguments] { return Run(*arguments); });
}

}  // namespace timbre::cli
