// timbre: the command line of the service.
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "client/cli/command.h"

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  // What went wrong is said in our words, below which gRPC's would hide them.
  constexpr int kKeepWhatIsSet = 0;
  setenv("GRPC_VERBOSITY", "NONE", kKeepWhatIsSet);
  CLI::App app{
      "Timbre: nearest-neighbour feature retrieval for voice conversion.\n"
      "Exit codes: 0 done, 2 wrong command line, 3 bad input or a voice that\n"
      "never fits, 4 not found, 5 try again later, 6 damaged data, 1 anything\n"
      "else.",
      "timbre"};
  app.set_version_flag("--version", TIMBRE_VERSION);
  app.require_subcommand(1);
  int exit_code = 0;
  timbre::cli::AddBuild(app, &exit_code);
  timbre::cli::AddImport(app, &exit_code);
  timbre::cli::AddCompare(app, &exit_code);
  timbre::cli::AddTune(app, &exit_code);
  timbre::cli::AddSearch(app, &exit_code);
  timbre::cli::AddBlend(app, &exit_code);
  timbre::cli::AddList(app, &exit_code);
  timbre::cli::AddShow(app, &exit_code);
  timbre::cli::AddActivate(app, &exit_code);
  timbre::cli::AddDelete(app, &exit_code);
  timbre::cli::AddVerify(app, &exit_code);
  timbre::cli::AddFrames(app, &exit_code);
  timbre::cli::AddExport(app, &exit_code);
  timbre::cli::AddWarm(app, &exit_code);
  timbre::cli::AddHealth(app, &exit_code);
  timbre::cli::AddSynth(app, &exit_code);
  timbre::cli::AddLoad(app, &exit_code, absl::StrJoin(argv, argv + argc, " "));
  // CLI11 would take the next argument for the value.
  for (const absl::string_view argument : absl::MakeSpan(argv, argc)) {
    if (absl::StartsWith(argument, "--") && absl::EndsWith(argument, "=")) {
      std::cerr << "timbre: " << argument << " has no value\n";
      return 2;
    }
  }
  // CLI11 would only say that a subcommand is missing.
  const std::string command = argc > 1 ? argv[1] : "-";
  const auto named = [&](const CLI::App* sub) {
    return sub->get_name() == command;
  };
  if (command[0] != '-' && std::as_const(app).get_subcommands(named).empty()) {
    std::cerr << "timbre: there is no command " << command
              << "; timbre --help lists them\n";
    return 2;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  // A full disk behind a redirection loses what was said.
  if (!std::cout.flush()) {
    std::cerr << "timbre: standard output could not be written\n";
    if (exit_code == 0) exit_code = 1;
  }
  return exit_code;
}
