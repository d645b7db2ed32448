// timbre blend SPEAKER in.npy out.npy
// timbre blend ALICE=0.7,BOB=0.3 in.npy out.npy
#include <iostream>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/command.h"
#include "client/cli/search_options.h"
#include "client/cli/version_json.h"
#include "client/files/npy.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"

namespace timbre::cli {
namespace {

struct BlendArguments {
  Common common;
  client::VoiceRef voice;
  v1::BlendParams params;
  std::string input;
  std::string output;
  std::string weighting = "inverse_square";
};

// "alice=0.7,bob=0.3", where the name of one speaker has no "=".
absl::StatusOr<std::vector<client::WeightedVoice>> ParseMix(
    const std::string& text) {
  std::vector<client::WeightedVoice> voices;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::pair<std::string, std::string> halves =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    client::WeightedVoice voice{.voice = {.speaker = halves.first}};
    if (!absl::SimpleAtof(halves.second, &voice.weight)) {
      return InvalidField("speaker", absl::StrCat("\"", part, "\""),
                          "NAME, or NAME=WEIGHT,NAME=WEIGHT...");
    }
    voices.push_back(std::move(voice));
  }
  return voices;
}

absl::Status Run(BlendArguments& arguments) {
  arguments.params.set_weighting(
      arguments.weighting == "uniform"        ? v1::WEIGHTING_UNIFORM
      : arguments.weighting == "cosine_power" ? v1::WEIGHTING_COSINE_POWER
                                              : v1::WEIGHTING_UNSPECIFIED);
  TIMBRE_ASSIGN_OR_RETURN(const client::FrameMatrix frames,
                          client::ReadNpy(arguments.input));
  client::Client client = arguments.common.Connect();
  client::BlendOptions options{.params = arguments.params};
  client::VoiceRef voice = arguments.voice;
  if (absl::StrContains(voice.speaker, '=')) {
    TIMBRE_ASSIGN_OR_RETURN(options.voices, ParseMix(voice.speaker));
    voice.speaker.clear();
  }
  TIMBRE_ASSIGN_OR_RETURN(const client::BlendResult result,
                          client.Blend(voice, options, frames));
  TIMBRE_RETURN_IF_ERROR(client::WriteNpy(arguments.output, result.frames));
  if (arguments.common.json) {
    PrintJson({{"speaker", arguments.voice.speaker},
               {"version", result.version},
               {"versions", result.versions},
               {"frames", frames.rows},
               {"effective", ToJson(result.effective)},
               {"mean_distance", result.mean_distance},
               {"mean_shift", result.mean_shift}});
    return absl::OkStatus();
  }
  const v1::SearchParams& search = result.effective.search();
  std::cout << absl::StrFormat(
      "%s: %d frames, version %s, index_rate %g, k %d, nprobe %d, k_factor "
      "%g%s\nmean distance of the nearest frame %.2f, mean shift %.1f %%\n",
      arguments.output, frames.rows,
      result.versions.empty() ? absl::StrCat(result.version)
                              : absl::StrJoin(result.versions, ", "),
      result.effective.index_rate(), search.k(), search.nprobe(),
      search.k_factor(), result.versions.empty() ? "" : " (of the first voice)",
      result.mean_distance, result.mean_shift * 100);
  return absl::OkStatus();
}

}  // namespace

void AddBlend(CLI::App& app, int* exit_code) {
  auto arguments = std::make_shared<BlendArguments>();
  BlendArguments& a = *arguments;
  CLI::App& command =
      *app.add_subcommand("blend",
                          "Mix every frame with its nearest training frames. "
                          "SPEAKER is a voice, or\n"
                          "several mixed into one: alice=0.7,bob=0.3.");
  AddCommonOptions(command, a.common);
  AddSearchOptions(command, a.voice, *a.params.mutable_search());
  command.add_option("input", a.input, "frames, .npy")->required();
  command.add_option("output", a.output, "the result, .npy (float32)")
      ->required();
  command.add_option_function<float>(
      "--index_rate", [&a](float rate) { a.params.set_index_rate(rate); },
      "0..1, how much of the voice's frames to take; default 0.75");
  command
      .add_option("--weighting", a.weighting,
                  "inverse_square (as RVC), uniform or cosine_power")
      ->check(CLI::IsMember({"inverse_square", "uniform", "cosine_power"}))
      ->capture_default_str();
  command.add_option_function<float>(
      "--alpha", [&a](float alpha) { a.params.set_alpha(alpha); },
      "of cosine_power, above 0 and at most 64; 0 or left out: 3");
  SetBody(command, exit_code, a.common,
          [arguments] { return Run(*arguments); });
}

}  // namespace timbre::cli
