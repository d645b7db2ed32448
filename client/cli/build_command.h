// What `build` and `import` do alike: options of a build, progress, result.
#ifndef TIMBRE_CLIENT_CLI_BUILD_COMMAND_H_
#define TIMBRE_CLIENT_CLI_BUILD_COMMAND_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/cli/command.h"
#include "client/cpp/client.h"

namespace timbre::cli {

struct BuildArguments {
  Common common;
  v1::BuildOptions options;
  std::string speaker;
  std::string metric = "l2";
  bool metric_given = false;
  std::string storage = "auto";
  std::vector<std::string> labels;
};

// Adds the speaker and the options that make sense wherever frames come from.
void AddBuildOptions(CLI::App& command, BuildArguments& arguments);

// Builds from `source`, showing progress, and prints the version.
absl::Status BuildAndPrint(BuildArguments& arguments,
                           const client::Client::FrameSource& source);

}  // namespace timbre::cli

#endif  // TIMBRE_CLIENT_CLI_BUILD_COMMAND_H_
