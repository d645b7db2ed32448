#include "client/cli/build_command.h"

#include <unistd.h>

#include <iostream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "client/cli/version_json.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"

namespace timbre::cli {
namespace {

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

// What a search does unless it is told otherwise, and what that finds.
void PrintDefaults(const v1::SpeakerVersion& version) {
  const v1::SearchParams& defaults = version.defaults();
  for (const v1::OperatingPoint& point : version.operating_points()) {
    if (point.nprobe() != defaults.nprobe() ||
        point.k_factor() != defaults.k_factor()) {
      continue;
    }
    std::cout << absl::StrFormat(
        "defaults: nprobe %d, k_factor %g; measured recall@8 %.3f, blend error "
        "%.1f %%, %.1f us a frame\n",
        point.nprobe(), point.k_factor(), point.recall(),
        100 * point.blend_error(), point.microseconds_per_frame());
  }
}

}  // namespace

void AddBuildOptions(CLI::App& command, BuildArguments& arguments) {
  BuildArguments& a = arguments;
  // The server tells of its progress several times a second.
  AddCommonOptions(command, a.common, absl::Seconds(60));
  command.add_option("speaker", a.speaker, "the voice")->required();
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
  command
      .add_option_function<float>(
          "--target_recall",
          [&a](float recall) { a.options.set_target_recall(recall); },
          "what the version's defaults must reach, above 0 and at most 1; 0 or "
          "left out: 0.95")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option_function<uint32_t>(
      "--database_expansion_k",
      [&a](uint32_t k) { a.options.set_database_expansion_k(k); },
      "replace each frame by the weighted mean of so many nearest ones; 0 or "
      "left out: off");
  command.add_option_function<float>(
      "--database_expansion_alpha",
      [&a](float alpha) { a.options.set_database_expansion_alpha(alpha); },
      "weights are cosine^alpha; 0 or left out: 3");
  command.add_option_function<uint64_t>(
      "--seed", [&a](uint64_t seed) { a.options.set_seed(seed); },
      "of the training");
  command.add_option_function<std::string>(
      "--request_id",
      [&a](const std::string& id) { a.options.set_request_id(id); },
      "a repeat returns the version that was already published");
  command.add_option("--label", a.labels, "KEY=VALUE, may be repeated");
  command.add_flag_callback(
      "--keep_inactive", [&a] { a.options.set_keep_inactive(true); },
      "publish without activating");
}

absl::Status BuildAndPrint(BuildArguments& arguments,
                           const client::Client::FrameSource& source) {
  TIMBRE_RETURN_IF_ERROR(FillOptions(arguments));
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
  PrintDefaults(*version);
  return absl::OkStatus();
}

}  // namespace timbre::cli
