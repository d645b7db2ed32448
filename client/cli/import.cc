// timbre import SPEAKER FILE
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>

#include "client/cli/build_command.h"
#include "client/cpp/npy.h"
#include "client/faiss/index_file.h"
#include "server/base/status_macros.h"

namespace timbre::cli {
namespace {

constexpr uint64_t kRowsAtOnce = 10'000;

// Rows as they are, in their order: ids stay what they were.
absl::Status ImportNpy(BuildArguments& arguments, const std::string& path) {
  TIMBRE_ASSIGN_OR_RETURN(client::FrameMatrix frames, client::ReadNpy(path));
  arguments.options.set_expected_frames(frames.rows);
  bool given = false;
  return BuildAndPrint(
      arguments, [&]() -> absl::StatusOr<std::optional<client::FrameMatrix>> {
        if (given) return std::optional<client::FrameMatrix>();
        given = true;
        return std::optional<client::FrameMatrix>(std::move(frames));
      });
}

absl::Status ImportIndex(BuildArguments& arguments, const std::string& path) {
  TIMBRE_ASSIGN_OR_RETURN(const client::IndexFile index,
                          client::IndexFile::Open(path));
  if (index.inner_product() && !arguments.metric_given) {
    arguments.metric = "inner_product";
  }
  if (index.lossy()) {
    std::cerr << "timbre: warning: " << path
              << ": this kind of index keeps codes of its frames; what is "
                 "taken over are approximations. Build from the features "
                 "themselves where they exist\n";
  }
  arguments.options.set_expected_frames(index.rows());
  uint64_t next = 0;
  return BuildAndPrint(
      arguments, [&]() -> absl::StatusOr<std::optional<client::FrameMatrix>> {
        const uint64_t rows = std::min(kRowsAtOnce, index.rows() - next);
        if (rows == 0) return std::optional<client::FrameMatrix>();
        next += rows;
        TIMBRE_ASSIGN_OR_RETURN(client::FrameMatrix frames,
                                index.Read(next - rows, rows));
        return std::optional<client::FrameMatrix>(std::move(frames));
      });
}

absl::Status Run(BuildArguments& arguments, const std::string& path) {
  const std::filesystem::path file(path);
  arguments.labels.push_back("imported_from=" + file.filename().string());
  return file.extension() == ".npy" ? ImportNpy(arguments, path)
                                    : ImportIndex(arguments, path);
}

}  // namespace

void AddImport(CLI::App& app, int* exit_code) {
  auto arguments = std::make_shared<BuildArguments>();
  auto path = std::make_shared<std::string>();
  CLI::App& command = *app.add_subcommand(
      "import", "Take over a voice that a worker has today.");
  AddBuildOptions(command, *arguments);
  command
      .add_option("file", *path,
                  "added_*.index of RVC, MODEL.index of Applio, another faiss "
                  "index that gives its frames back, or total_fea.npy")
      ->required();
  const CLI::Option* const metric = command.get_option("--metric");
  SetBody(command, exit_code, arguments->common, [arguments, path, metric] {
    arguments->metric_given = metric->count() > 0;
    return Run(*arguments, *path);
  });
}

}  // namespace timbre::cli
