// timbre list, show, activate, delete: what there is, and which is active.
#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/command.h"
#include "client/cli/version_json.h"
#include "server/base/status_macros.h"

namespace timbre::cli {
namespace {

struct CatalogArguments {
  Common common;
  client::VoiceRef voice;
  std::string prefix;
};

void PrintWarnings(const std::string& what, const v1::SpeakerVersion& v) {
  for (const std::string& warning : v.warnings()) {
    std::cout << what << " " << v.version() << ": warning: " << warning << "\n";
  }
}

const char* OpenText(const v1::SpeakerVersion& version) {
  return version.loaded() ? "yes" : "no";
}

// Without the operating points: the server leaves them out of a list, and an
// empty one would say that nothing was measured.
nlohmann::json ListedJson(const v1::Speaker& speaker) {
  nlohmann::json json = ToJson(speaker);
  for (nlohmann::json& version : json["versions"]) {
    version.erase("operating_points");
  }
  return json;
}

absl::Status List(const CatalogArguments& arguments) {
  client::Client client = arguments.common.Connect();
  TIMBRE_ASSIGN_OR_RETURN(const std::vector<v1::Speaker> speakers,
                          client.ListSpeakers(arguments.prefix));
  if (arguments.common.json) {
    nlohmann::json all = nlohmann::json::array();
    for (const v1::Speaker& speaker : speakers) {
      all.push_back(ListedJson(speaker));
    }
    PrintJson(all);
    return absl::OkStatus();
  }
  std::vector<std::vector<std::string>> rows = {{"SPEAKER", "ACTIVE", "FRAMES",
                                                 "DIM", "INDEX", "SIZE", "OPEN",
                                                 "CREATED"}};
  for (const v1::Speaker& speaker : speakers) {
    if (speaker.versions_size() == 0) {
      rows.push_back({speaker.speaker(), "none", "", "", "", "", "", ""});
      continue;
    }
    const v1::SpeakerVersion& v = speaker.versions(0);
    rows.push_back({speaker.speaker(), absl::StrCat(v.version()),
                    absl::StrCat(v.frames()), absl::StrCat(v.dimension()),
                    v.index_factory(), HumanBytes(v.bytes_on_disk()),
                    OpenText(v), TimeText(v.create_time())});
  }
  PrintTable(rows);
  for (const v1::Speaker& speaker : speakers) {
    for (const v1::SpeakerVersion& v : speaker.versions()) {
      PrintWarnings(absl::StrCat(speaker.speaker(), " version"), v);
    }
  }
  return absl::OkStatus();
}

void PrintSpeaker(const v1::Speaker& speaker, bool json) {
  if (json) return PrintJson(ToJson(speaker));
  std::cout << speaker.speaker() << ": "
            << (speaker.active_version() != 0
                    ? absl::StrCat("version ", speaker.active_version(),
                                   " is active")
                    : "no version is active")
            << "\n";
  std::vector<std::vector<std::string>> rows = {{"", "VERSION", "FRAMES", "DIM",
                                                 "METRIC", "INDEX", "DEFAULTS",
                                                 "SIZE", "OPEN", "CREATED"}};
  for (const v1::SpeakerVersion& v : speaker.versions()) {
    rows.push_back(
        {v.active() ? "*" : "", absl::StrCat(v.version()),
         absl::StrCat(v.frames()), absl::StrCat(v.dimension()),
         MetricText(v.metric()), v.index_factory(),
         absl::StrFormat("nprobe %d, k_factor %g", v.defaults().nprobe(),
                         v.defaults().k_factor()),
         HumanBytes(v.bytes_on_disk()), OpenText(v),
         TimeText(v.create_time())});
  }
  PrintTable(rows);
  for (const v1::SpeakerVersion& v : speaker.versions()) {
    for (const v1::OperatingPoint& point : v.operating_points()) {
      std::cout << absl::StrFormat(
          "version %d: nprobe %4d, k_factor %2g: recall@8 %.4f, blend error "
          "%.4f, %.2f us a frame\n",
          v.version(), point.nprobe(), point.k_factor(), point.recall(),
          point.blend_error(), point.microseconds_per_frame());
    }
    PrintWarnings("version", v);
    for (const auto& [key, value] : v.labels()) {
      std::cout << "version " << v.version() << ": " << key << " = " << value
                << "\n";
    }
  }
}

absl::Status Print(const absl::StatusOr<v1::Speaker>& speaker, bool json) {
  if (speaker.ok()) PrintSpeaker(*speaker, json);
  return speaker.status();
}

absl::Status Delete(const CatalogArguments& arguments) {
  client::Client client = arguments.common.Connect();
  if (arguments.voice.version != 0) {
    return Print(client.DeleteVersion(arguments.voice), arguments.common.json);
  }
  TIMBRE_RETURN_IF_ERROR(client.DeleteSpeaker(arguments.voice.speaker));
  if (arguments.common.json) {
    PrintJson({{"deleted", arguments.voice.speaker}});
  } else {
    std::cout << arguments.voice.speaker << " is deleted\n";
  }
  return absl::OkStatus();
}

}  // namespace

void AddList(CLI::App& app, int* exit_code) {
  auto a = std::make_shared<CatalogArguments>();
  CLI::App& command = *app.add_subcommand("list", "List the voices.");
  AddCommonOptions(command, a->common);
  command.add_option("--prefix", a->prefix, "only names that begin with it");
  SetBody(command, exit_code, a->common, [a] { return List(*a); });
}

void AddShow(CLI::App& app, int* exit_code) {
  auto a = std::make_shared<CatalogArguments>();
  CLI::App& command =
      *app.add_subcommand("show", "Show a voice and its versions.");
  AddCommonOptions(command, a->common);
  command.add_option("speaker", a->voice.speaker, "the voice")->required();
  SetBody(command, exit_code, a->common, [a] {
    return Print(a->common.Connect().GetSpeaker(a->voice.speaker),
                 a->common.json);
  });
}

void AddActivate(CLI::App& app, int* exit_code) {
  auto a = std::make_shared<CatalogArguments>();
  CLI::App& command = *app.add_subcommand(
      "activate", "Make a version the active one: roll back, roll forward.");
  AddCommonOptions(command, a->common);
  command.add_option("speaker", a->voice.speaker, "the voice")->required();
  command.add_option("version", a->voice.version, "the version")->required();
  SetBody(command, exit_code, a->common, [a] {
    return Print(a->common.Connect().ActivateVersion(a->voice), a->common.json);
  });
}

void AddDelete(CLI::App& app, int* exit_code) {
  auto a = std::make_shared<CatalogArguments>();
  CLI::App& command = *app.add_subcommand(
      "delete", "Delete a voice, or one inactive version of it.");
  AddCommonOptions(command, a->common);
  command.add_option("speaker", a->voice.speaker, "the voice")->required();
  command
      .add_option("--version", a->voice.version,
                  "only this version; default: the whole voice")
      ->check(CLI::Range(uint64_t{1}, UINT64_MAX));
  SetBody(command, exit_code, a->common, [a] { return Delete(*a); });
}

}  // namespace timbre::cli
