// timbre import SPEAKER FILE
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/build_command.h"
#include "client/files/faiss/index_file.h"
#include "client/files/npy.h"
#include "server/base/errors.h"
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

absl::Status Refused(const std::string& path, const char* reason,
                     const std::string& why) {
  return MakeError(absl::StatusCode::kInvalidArgument, reason,
                   absl::StrCat(path, ": ", why));
}

// What is blended are the frames themselves: where a transform has dropped
// something of each, no number of neighbours makes up for it.
absl::Status RefuseLoss(const client::IndexFile& index,
                        const std::string& path) {
  const client::IndexFile::Loss loss = index.TransformLoss();
  if (loss.share == 0) return absl::OkStatus();
  return Refused(
      path, "FRAMES_ARE_LOST",
      absl::StrFormat(
          "does not hold the frames: %s stands before what it keeps, and of "
          "the length of a frame %.0f %% is lost that way (measured). Build "
          "from the features themselves. (Of a voice of Timbre's: `timbre "
          "frames` or `timbre export --format=npy` has its frames as they are)",
          loss.by, 100 * loss.share));
}

void WarnOfCodes(const client::IndexFile& index, const std::string& path) {
  const client::IndexFile::Loss loss = index.CodeLoss();
  if (loss.share == 0) return;
  std::cerr << "timbre: warning: " << path << ": it keeps " << loss.by
            << "; what is taken over differs from what was added by "
            << (std::isnan(loss.share)
                    ? "an amount that is not known"
                    : absl::StrFormat("about %.2g %% of the mean length of a "
                                      "frame (measured)",
                                      100 * loss.share))
            << ". Build from the features themselves where they exist\n";
}

absl::Status ImportIndex(BuildArguments& arguments, const std::string& path) {
  TIMBRE_ASSIGN_OR_RETURN(const client::IndexFile index,
                          client::IndexFile::Open(path));
  if (!index.known_metric() && !arguments.metric_given) {
    return Refused(
        path, "UNKNOWN_METRIC",
        absl::StrCat("its metric is ", index.Metric(),
                     ", which Timbre has not; with --metric=l2 its frames are "
                     "taken over and compared by squared L2 distance"));
  }
  TIMBRE_RETURN_IF_ERROR(RefuseLoss(index, path));
  WarnOfCodes(index, path);
  if (index.inner_product() && !arguments.metric_given) {
    arguments.metric = "inner_product";
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
      .add_option(
          "file", *path,
          "added_*.index of RVC, MODEL.index of Applio, another faiss "
          "index that holds its frames, or total_fea.npy. Refused is what "
          "lost a part of them (L2norm, PCA); of codes (PQ, SQ) a "
          "warning says how far they are off")
      ->required();
  const CLI::Option* const metric = command.get_option("--metric");
  SetBody(command, exit_code, arguments->common, [arguments, path, metric] {
    arguments->metric_given = metric->count() > 0;
    return Run(*arguments, *path);
  });
}

}  // namespace timbre::cli
