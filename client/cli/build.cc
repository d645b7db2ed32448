// timbre build SPEAKER PATH...
#include <memory>
#include <utility>

#include "client/cli/build_command.h"
#include "client/files/feature_files.h"
#include "client/files/npy.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"

namespace timbre::cli {
namespace {

absl::Status Run(BuildArguments& arguments,
                 const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  if (paths.empty() && arguments.options.base_version() == 0) {
    return MakeError(absl::StatusCode::kInvalidArgument, "NO_FRAMES",
                     "give a path to features, or --base_version");
  }
  if (!paths.empty()) {
    TIMBRE_ASSIGN_OR_RETURN(files, client::ListFeatureFiles(paths));
  }
  // Counted beforehand, so that nothing on the way can cut the voice short.
  if (arguments.options.expected_frames() == 0) {
    uint64_t frames = 0;
    for (const std::string& file : files) {
      TIMBRE_ASSIGN_OR_RETURN(const uint64_t rows, client::CountNpyRows(file));
      frames += rows;
    }
    arguments.options.set_expected_frames(frames);
  }
  client::FeatureReader reader(std::move(files));
  return BuildAndPrint(arguments, [&reader] { return reader.Next(); });
}

}  // namespace

void AddBuild(CLI::App& app, int* exit_code) {
  auto arguments = std::make_shared<BuildArguments>();
  auto paths = std::make_shared<std::vector<std::string>>();
  BuildArguments& a = *arguments;
  CLI::App& command =
      *app.add_subcommand("build", "Make a version of a voice from features.");
  AddBuildOptions(command, a);
  command.add_option(
      "path", *paths,
      "feature directories (3_feature256, 3_feature768, extracted), read in "
      "sorted name order, or .npy files; with --base_version they are "
      "added to its frames, or there are none");
  command.add_option_function<uint64_t>(
      "--expected_frames",
      [&a](uint64_t n) { a.options.set_expected_frames(n); },
      "refuse any other number of frames; default: what the files hold");
  command.add_option_function<uint64_t>(
      "--base_version", [&a](uint64_t v) { a.options.set_base_version(v); },
      "start from the stored frames of this version");
  SetBody(command, exit_code, a.common,
          [arguments, paths] { return Run(*arguments, *paths); });
}

}  // namespace timbre::cli
