// timbre health
#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/version_json.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"

namespace timbre::cli {
namespace {

absl::Status Run(const Common& common) {
  client::Client client = common.Connect();
  TIMBRE_ASSIGN_OR_RETURN(const bool serving, client.CheckHealth());
  if (!serving) {
    return MakeError(absl::StatusCode::kUnavailable, "NOT_SERVING",
                     absl::StrCat(common.server, ": NOT_SERVING"));
  }
  TIMBRE_ASSIGN_OR_RETURN(const v1::ServerInfo info, client.GetServerInfo());
  if (common.json) {
    nlohmann::json json = ToJson(info);
    json["status"] = "SERVING";
    PrintJson(json);
    return absl::OkStatus();
  }
  PrintTable({{"status", "SERVING"},
              {"version", info.version()},
              {"faiss", info.faiss_version()},
              {"SIMD level", info.simd_level()},
              {"worker threads", absl::StrCat(info.worker_threads())},
              {"largest message", HumanBytes(info.max_message_bytes())},
              {"open voices take", HumanBytes(info.resident_bytes())},
              {"they may take", info.max_resident_bytes() == 0
                                    ? "unlimited"
                                    : HumanBytes(info.max_resident_bytes())},
              {"open versions", absl::StrCat(info.open_versions())},
              {"metrics port", absl::StrCat(info.metrics_port())},
              {"started", TimeText(info.start_time())}});
  return absl::OkStatus();
}

}  // namespace

void AddHealth(CLI::App& app, int* exit_code) {
  auto common = std::make_shared<Common>();
  CLI::App& command = *app.add_subcommand(
      "health", "Say whether the server serves, and what it is.");
  AddCommonOptions(command, *common, absl::Seconds(5));
  SetBody(command, exit_code, *common, [common] { return Run(*common); });
}

}  // namespace timbre::cli
