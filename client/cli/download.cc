// timbre frames, export.
#include "client/cli/download.h"

#include <iostream>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/cli/command.h"
#include "client/cli/version_json.h"
#include "client/files/output.h"
#include "server/base/errors.h"
#include "server/base/file_system.h"
#include "server/base/status_macros.h"

namespace timbre::cli {
namespace {

struct DownloadArguments {
  Common common;
  client::VoiceRef voice;
  std::string output;
  std::string format = "faiss";
};

absl::StatusOr<v1::SpeakerVersion> FindVersion(client::Client& client,
                                               const client::VoiceRef& voice) {
  TIMBRE_ASSIGN_OR_RETURN(const v1::Speaker speaker,
                          client.GetSpeaker(voice.speaker));
  const uint64_t wanted =
      voice.version != 0 ? voice.version : speaker.active_version();
  for (const v1::SpeakerVersion& version : speaker.versions()) {
    if (version.version() == wanted) return version;
  }
  return MakeError(
      absl::StatusCode::kNotFound, "VERSION_NOT_FOUND",
      absl::StrCat("voice \"", voice.speaker, "\" has no version ", wanted));
}

// RVC looks for names that end in .index and hold no "trained"; it shows the
// voice that stands between nprobe and the version.
std::string DefaultName(const std::string& speaker,
                        const v1::SpeakerVersion& version, bool ivf_flat) {
  std::string factory = version.index_factory();
  if (ivf_flat) {  // a voice without lists is exported as one
    const bool lists = absl::StartsWith(factory, "IVF");
    factory = (lists ? factory.substr(0, factory.find(',')) : "IVF1") + "_Flat";
  }
  // "trained" would hide the file from RVC.
  const std::string voice = absl::StrReplaceAll(speaker, {{"trained", "tr"}});
  return absl::StrCat(
      "added_",
      absl::StrReplaceAll(factory, {{",", "_"}, {"(", "_"}, {")", ""}}),
      "_nprobe_", version.defaults().nprobe(), "_", voice, "_v",
      version.dimension() == 768 ? 2 : 1, ".index");
}

void Report(const DownloadArguments& arguments, const std::string& path,
            uint64_t version) {
  const auto size = FileSize(path);
  const uint64_t bytes = size.ok() ? *size : 0;
  if (arguments.common.json) {
    PrintJson({{"file", path}, {"bytes", bytes}, {"version", version}});
  } else {
    std::cout << path << ": version " << version << " of "
              << arguments.voice.speaker << ", " << HumanBytes(bytes) << "\n";
  }
}

absl::Status Frames(const DownloadArguments& arguments) {
  client::Client client = arguments.common.Connect();
  TIMBRE_ASSIGN_OR_RETURN(const v1::SpeakerVersion version,
                          FindVersion(client, arguments.voice));
  TIMBRE_RETURN_IF_ERROR(Download(client,
                                  {arguments.voice.speaker, version.version()},
                                  v1::EXPORT_FORMAT_NPY, arguments.output));
  Report(arguments, arguments.output, version.version());
  return absl::OkStatus();
}

absl::Status Export(const DownloadArguments& arguments) {
  client::Client client = arguments.common.Connect();
  TIMBRE_ASSIGN_OR_RETURN(const v1::SpeakerVersion version,
                          FindVersion(client, arguments.voice));
  const bool ivf_flat = arguments.format == "ivf_flat";
  const v1::ExportFormat format = ivf_flat ? v1::EXPORT_FORMAT_IVF_FLAT
                                  : arguments.format == "npy"
                                      ? v1::EXPORT_FORMAT_NPY
                                      : v1::EXPORT_FORMAT_FAISS_INDEX;
  std::string path = arguments.output;
  if (path.empty()) {
    path = format == v1::EXPORT_FORMAT_NPY
               ? "total_fea.npy"
               : DefaultName(arguments.voice.speaker, version, ivf_flat);
  }
  if (format != v1::EXPORT_FORMAT_NPY && version.metric() != v1::METRIC_L2) {
    std::cerr << "timbre: warning: the metric is "
              << MetricText(version.metric())
              << "; RVC's formula weighs by squared L2 distances and is wrong "
                 "on such an index\n";
  }
  TIMBRE_RETURN_IF_ERROR(Download(
      client, {arguments.voice.speaker, version.version()}, format, path));
  Report(arguments, path, version.version());
  return absl::OkStatus();
}

}  // namespace

absl::Status Download(client::Client& client, const client::VoiceRef& voice,
                      v1::ExportFormat format, const std::string& path) {
  return client::WriteWhole(path, [&](OutputFile& file) {
    return client.Export(voice, format, [&file](const std::string& chunk) {
      return file.Append(chunk.data(), chunk.size());
    });
  });
}

void AddFrames(CLI::App& app, int* exit_code) {
  auto a = std::make_shared<DownloadArguments>();
  CLI::App& command =
      *app.add_subcommand("frames", "Fetch a voice's stored frames as .npy.");
  AddCommonOptions(command, a->common);
  command.add_option("speaker", a->voice.speaker, "the voice")->required();
  command.add_option("output", a->output, "where to write them, .npy")
      ->required();
  command.add_option("--version", a->voice.version, "default: the active one");
  SetBody(command, exit_code, a->common, [a] { return Frames(*a); });
}

void AddExport(CLI::App& app, int* exit_code) {
  auto a = std::make_shared<DownloadArguments>();
  CLI::App& command = *app.add_subcommand(
      "export", "Fetch a version as a file for other programs.");
  AddCommonOptions(command, a->common);
  command.add_option("speaker", a->voice.speaker, "the voice")->required();
  command.add_option("output", a->output,
                     "where to write it; default: a name that RVC finds "
                     "(its ending v1 or v2 says 256 or 768 dimensions)");
  command.add_option("--version", a->voice.version, "default: the active one");
  command
      .add_option("--format", a->format,
                  "faiss (as built), ivf_flat (what RVC, Applio and w-okada "
                  "load) or npy (the frames)")
      ->check(CLI::IsMember({"faiss", "ivf_flat", "npy"}))
      ->capture_default_str();
  SetBody(command, exit_code, a->common, [a] { return Export(*a); });
}

}  // namespace timbre::cli
