// timbre build SPEAKER PATH...
#include <unistd.h>

#include <iostream>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "client/cli/command.h"
#include "client/cli/version_json.h"
#include "client/cpp/feature_files.h"
#include "client/cpp/npy.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"

namespace timbre::cli {
namespace {

struct BuildArguments {
  Common common;
  std::vector<std::string> paths;
  v1::BuildOptions options;
  std::string speaker;
  std::string metric = "l2";
  std::string storage = "auto";
  std::vector<std::string> labels;
};

// One line that is redrawn on a terminal, nothing elsewhere.
class ProgressBar {
 public:
  explicit ProgressBar(bool enabled)
      : enabled_(enabled && isatty(STDERR_FILENO) == 1) {}
  ~ProgressBar() {
    if (enabled_) std::cerr << "\r\x1b[K";
  }

  void Show(const v1::BuildProgress& progress) const {
    if (!enabled_) return;
    constexpr int kWidth = 30;
    const int filled = static_cast<int>(progress.fraction() * kWidth);
    std::string stage = v1::BuildProgress::Stage_Name(progress.stage());
    stage = absl::AsciiStrToLower(stage.substr(sizeof("STAGE_") - 1));
    std::cerr << absl::StrFormat(
        "\r[%s%s] %3.0f %%  %s, %d frames, %d s\x1b[K",
        std::string(static_cast<size_t>(filled), '#'),
        std::string(static_cast<size_t>(kWidth - filled), '.'),
        progress.fraction() * 100, stage, progress.frames(),
        progress.elapsed().seconds());
  }

 private:
  const bool enabled_;
};

absl::Status FillOptions(BuildArguments& arguments) {
  v1::BuildOptions& options = arguments.options;
  options.set_speaker(arguments.speaker);
  options.set_metric(arguments.metric == "cosine" ? v1::METRIC_COSINE
                     : arguments.metric == "inner_product"
                         ? v1::METRIC_INNER_PRODUCT
                         : v1::METRIC_L2);
  options.set_storage(arguments.storage == "float16" ? v1::ELEMENT_TYPE_FLOAT16
                      : arguments.storage == "float32"
                          ? v1::ELEMENT_TYPE_FLOAT32
                          : v1::ELEMENT_TYPE_UNSPECIFIED);
  for (const std::string& label : arguments.labels) {
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(label, absl::MaxSplits('=', 1));
    if (label.find('=') == std::string::npos) {
      return InvalidField("--label", label, "KEY=VALUE");
    }
    (*options.mutable_labels())[parts.first] = parts.second;
  }
  return absl::OkStatus();
}

absl::Status Run(BuildArguments& arguments) {
  TIMBRE_RETURN_IF_ERROR(FillOptions(arguments));
  std::vector<std::string> files;
  if (!arguments.paths.empty()) {
    TIMBRE_ASSIGN_OR_RETURN(files, client::ListFeatureFiles(arguments.paths));
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
  size_t next = 0;
  std::string first_file;
  uint32_t dimension = 0;
  const auto source =
      [&]() -> absl::StatusOr<std::optional<client::FrameMatrix>> {
    if (next == files.size()) return std::optional<client::FrameMatrix>();
    const std::string& file = files[next++];
    TIMBRE_ASSIGN_OR_RETURN(client::FrameMatrix frames, client::ReadNpy(file));
    if (dimension == 0) {
      dimension = frames.columns;
      first_file = file;
    } else if (frames.columns != dimension) {
      return MakeError(absl::StatusCode::kInvalidArgument, "MIXED_DIMENSIONS",
                       absl::StrCat(file, " has dimension ", frames.columns,
                                    ", but ", first_file, " has ", dimension,
                                    "; build from features of one kind"));
    }
    return std::optional<client::FrameMatrix>(std::move(frames));
  };
  absl::StatusOr<v1::SpeakerVersion> version;
  {
    const ProgressBar bar(!arguments.common.json);
    client::Client client = arguments.common.Connect();
    version = client.Build(
        arguments.options, source,
        [&bar](const v1::BuildProgress& progress) { bar.Show(progress); });
  }
  if (!version.ok()) return version.status();
  for (const std::string& warning : version->warnings()) {
    std::cerr << "timbre: warning: " << warning << "\n";
  }
  if (arguments.common.json) {
    PrintJson(ToJson(*version));
    return absl::OkStatus();
  }
  std::cout << absl::StrFormat(
      "%s version %d%s: %d frames of %d, %s, %s on disk\n", arguments.speaker,
      version->version(), version->active() ? " (active)" : "",
      version->frames(), version->dimension(), version->index_factory(),
      HumanBytes(version->bytes_on_disk()));
  return absl::OkStatus();
}

}  // namespace

void AddBuild(CLI::App& app, int* exit_code) {
  auto arguments = std::make_shared<BuildArguments>();
  BuildArguments& a = *arguments;
  CLI::App& command =
      *app.add_subcommand("build", "Make a version of a voice from features.");
  AddCommonOptions(command, a.common);
  command.add_option("speaker", a.speaker, "the voice")->required();
  command.add_option(
      "path", a.paths,
      "feature directories (3_feature256, 3_feature768, extracted), read in "
      "sorted name order, or .npy files; with --base_version they are "
      "added to its frames, or there are none");
  command.add_option_function<std::string>(
      "--index_factory",
      [&a](const std::string& text) { a.options.set_index_factory(text); },
      "faiss notation, e.g. IVF1024,PQ128x4fs,RFlat; default: chosen");
  command.add_option("--metric", a.metric, "l2, inner_product or cosine")
      ->check(CLI::IsMember({"l2", "inner_product", "cosine"}))
      ->capture_default_str();
  command
      .add_option("--storage", a.storage,
                  "of the stored frames; auto: float16 where it loses nothing")
      ->check(CLI::IsMember({"auto", "float16", "float32"}))
      ->capture_default_str();
  command.add_option_function<uint32_t>(
      "--reduce_to_centroids",
      [&a](uint32_t n) { a.options.set_reduce_to_centroids(n); },
      "k-means centres to keep instead of the frames (RVC: 10000)");
  command.add_option_function<uint64_t>(
      "--seed", [&a](uint64_t seed) { a.options.set_seed(seed); },
      "of the training");
  command.add_option_function<uint64_t>(
      "--expected_frames",
      [&a](uint64_t n) { a.options.set_expected_frames(n); },
      "refuse any other number of frames; default: what the files hold");
  command.add_option_function<uint64_t>(
      "--base_version", [&a](uint64_t v) { a.options.set_base_version(v); },
      "start from the stored frames of this version");
  command.add_option_function<std::string>(
      "--request_id",
      [&a](const std::string& id) { a.options.set_request_id(id); },
      "a repeat returns the version that was already published");
  command.add_option("--label", a.labels, "KEY=VALUE, may be repeated");
  command.add_flag_callback(
      "--keep_inactive", [&a] { a.options.set_keep_inactive(true); },
      "publish without activating");
  SetBody(command, exit_code, a.common,
          [arguments] { return Run(*arguments); });
}

}  // namespace timbre::cli
