// timbre warm SPEAKER...
#include <algorithm>
#include <atomic>
#include <future>
#include <iostream>
#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/cli/command.h"
#include "server/base/errors.h"

namespace timbre::cli {
namespace {

struct WarmArguments {
  Common common;
  std::vector<std::string> speakers;
  uint64_t version = 0;
  uint32_t at_once = 8;
};

struct Warmed {
  absl::StatusOr<uint64_t> version;
  absl::Duration took;
};

Warmed WarmOne(client::Client& client, const client::VoiceRef& voice) {
  const absl::Time start = absl::Now();
  auto version = client.Warm(voice);
  return {std::move(version), absl::Now() - start};
}

// Some voices at a time; `say` hears of each, in their order, as soon as it
// and those before it are done.
template <typename Say>
void WarmAll(client::Client& client, const WarmArguments& arguments, Say say) {
  const std::vector<std::string>& speakers = arguments.speakers;
  std::vector<std::promise<Warmed>> done(speakers.size());
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < speakers.size(); i = next++) {
      done[i].set_value(WarmOne(client, {speakers[i], arguments.version}));
    }
  };
  std::vector<std::thread> threads;
  const size_t count = std::min<size_t>(arguments.at_once, speakers.size());
  for (size_t i = 0; i < count; ++i) threads.emplace_back(work);
  for (size_t i = 0; i < speakers.size(); ++i) {
    say(speakers[i], done[i].get_future().get());
  }
  for (std::thread& thread : threads) thread.join();
}

void PrintLine(const std::string& speaker, const Warmed& warmed) {
  if (!warmed.version.ok()) return;  // standard error has it
  std::cout << absl::StrFormat("%s: version %d, %.1f ms\n", speaker,
                               *warmed.version,
                               absl::ToDoubleMilliseconds(warmed.took))
            << std::flush;
}

nlohmann::json ToJson(const std::string& speaker, const Warmed& warmed) {
  nlohmann::json json = {
      {"speaker", speaker},
      {"milliseconds", absl::ToDoubleMilliseconds(warmed.took)}};
  if (warmed.version.ok()) {
    json["version"] = *warmed.version;
  } else {
    const absl::Status& status = warmed.version.status();
    json["error"] = std::string(status.message());
    json["reason"] = DetailsOf(status).reason;
    json["code"] = absl::StatusCodeToString(status.code());
  }
  return json;
}

// The first failure; all of them are told.
absl::Status Run(const WarmArguments& arguments) {
  if (arguments.version != 0 && arguments.speakers.size() > 1) {
    const absl::Status error =
        InvalidField("--version", absl::StrCat(arguments.version),
                     "left out where there are several voices");
    PrintError(error, arguments.common);
    return error;
  }
  client::Client client = arguments.common.Connect();
  absl::Status first_failure;
  nlohmann::json all = nlohmann::json::array();
  WarmAll(client, arguments,
          [&](const std::string& speaker, const Warmed& warmed) {
            const absl::Status& status = warmed.version.status();
            first_failure.Update(status);
            if (!status.ok()) PrintError(status, arguments.common);
            if (arguments.common.json) {
              all.push_back(ToJson(speaker, warmed));
            } else {
              PrintLine(speaker, warmed);
            }
          });
  if (arguments.common.json) PrintJson(all);
  return first_failure;
}

}  // namespace

void AddWarm(CLI::App& app, int* exit_code) {
  auto a = std::make_shared<WarmArguments>();
  CLI::App& command = *app.add_subcommand(
      "warm", "Have the server open voices before somebody waits for them.");
  AddCommonOptions(command, a->common);
  command.add_option("speakers", a->speakers, "the voices")->required();
  command.add_option(
      "--version", a->version,
      "default: the active one; of one voice alone. One that is not "
      "active is read into memory, but closed again");
  command.add_option("--at_once", a->at_once, "so many at a time")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  // Not SetBody: each failure is told as it happens.
  command.callback([a, exit_code] { *exit_code = ExitCode(Run(*a)); });
}

}  // namespace timbre::cli
