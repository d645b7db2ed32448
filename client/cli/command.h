// What the subcommands of `timbre` share.
#ifndef TIMBRE_CLIENT_CLI_COMMAND_H_
#define TIMBRE_CLIENT_CLI_COMMAND_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/cpp/client.h"

namespace timbre::cli {

// Options of every subcommand that talks to a server.
struct Common {
  std::string server;
  bool json = false;
  absl::Duration timeout;  // the longest silence

  client::Client Connect() const { return client::Client(server, timeout); }
};

// How long a command waits for a sign of life unless it says otherwise.
inline constexpr absl::Duration kUsualTimeout = absl::Seconds(30);

// Adds an option that takes "250ms", "30s", "5m", or a number of seconds, and
// gives it to `set`.
void AddDuration(CLI::App& command, const std::string& name,
                 absl::Duration default_value, const std::string& text,
                 std::function<void(absl::Duration)> set,
                 absl::Duration least = absl::ZeroDuration());

// Adds --server (or TIMBRE_SERVER) and --timeout.
void AddServerOptions(CLI::App& command, Common& common,
                      absl::Duration timeout = kUsualTimeout);
// Adds these and --json.
void AddCommonOptions(CLI::App& command, Common& common,
                      absl::Duration timeout = kUsualTimeout);

// Runs `body` when the subcommand is called; its status becomes the exit code.
void SetBody(CLI::App& command, int* exit_code, const Common& common,
             std::function<absl::Status()> body);

// 0 OK, 1 anything else, 3 bad input or what can never work (a voice that does
// not fit in the server's memory), 4 not found, 5 try again later (server away,
// overloaded or draining, a limit met), 6 damaged data. (2 is a wrong command
// line.)
int ExitCode(const absl::Status& status);

// Says on standard error what was wrong and what to do next.
void PrintError(const absl::Status& status, const Common& common);

// Columns as wide as their widest cell; the first row is the heading.
void PrintTable(const std::vector<std::vector<std::string>>& rows);

void PrintJson(const nlohmann::json& value);

// Writes a file whole or not at all; nothing where `path` is empty.
absl::Status WriteText(const std::string& path, const std::string& text);

// "1.5 MB"
std::string HumanBytes(uint64_t bytes);

// One function per file.
void AddBuild(CLI::App& app, int* exit_code);
void AddImport(CLI::App& app, int* exit_code);
void AddCompare(CLI::App& app, int* exit_code);
void AddTune(CLI::App& app, int* exit_code);
void AddSearch(CLI::App& app, int* exit_code);
void AddBlend(CLI::App& app, int* exit_code);
void AddList(CLI::App& app, int* exit_code);
void AddShow(CLI::App& app, int* exit_code);
void AddActivate(CLI::App& app, int* exit_code);
void AddDelete(CLI::App& app, int* exit_code);
void AddVerify(CLI::App& app, int* exit_code);
void AddFrames(CLI::App& app, int* exit_code);
void AddExport(CLI::App& app, int* exit_code);
void AddWarm(CLI::App& app, int* exit_code);
void AddHealth(CLI::App& app, int* exit_code);
void AddSynth(CLI::App& app, int* exit_code);
// `command` is the command line, for the reports.
void AddLoad(CLI::App& app, int* exit_code, const std::string& command);

}  // namespace timbre::cli

#endif  // TIMBRE_CLIENT_CLI_COMMAND_H_
