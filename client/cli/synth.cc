// timbre synth DIR --frames=N --voice=SEED
#include "client/files/synth.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/command.h"
#include "client/files/feature_files.h"
#include "client/files/npy.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"

namespace timbre::cli {
namespace {

constexpr uint64_t kFramesPerFile = 500;  // ten seconds

struct SynthArguments {
  Common common;  // for --json alone
  std::string directory;
  uint64_t frames = 10'000;
  uint64_t voice = 1;
  uint32_t dimension = 256;
};

// Files of an earlier run would count among the new ones.
absl::Status CheckUnused(const std::string& directory) {
  std::error_code error;
  std::filesystem::directory_iterator it(directory, error);
  for (; !error && it != std::filesystem::directory_iterator();
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!client::IsFeatureName(name)) continue;
    return InvalidField(
        "directory", directory,
        absl::StrCat("one without .npy files; it holds ", name));
  }
  return absl::OkStatus();
}

absl::Status Run(const SynthArguments& a) {
  TIMBRE_RETURN_IF_ERROR(CheckUnused(a.directory));
  std::error_code error;
  std::filesystem::create_directories(a.directory, error);
  if (error) {
    return MakeError(absl::StatusCode::kInternal, "FILE_NOT_WRITTEN",
                     absl::StrCat(a.directory, ": ", error.message()));
  }
  client::FeatureSynth synth(a.voice, a.dimension);
  uint64_t files = 0;
  for (uint64_t done = 0; done < a.frames; done += kFramesPerFile, ++files) {
    const auto matrix = synth.Next(std::min(kFramesPerFile, a.frames - done));
    TIMBRE_RETURN_IF_ERROR(client::WriteNpy(
        absl::StrFormat("%s/%06d.npy", a.directory, files), matrix));
  }
  if (a.common.json) {
    PrintJson({{"directory", a.directory},
               {"files", files},
               {"frames", a.frames},
               {"dimension", a.dimension}});
  } else {
    std::cout << absl::StrFormat("%s: %d frames of %d in %d files\n",
                                 a.directory, a.frames, a.dimension, files);
  }
  return absl::OkStatus();
}

}  // namespace

void AddSynth(CLI::App& app, int* exit_code) {
  auto a = std::make_shared<SynthArguments>();
  CLI::App& command = *app.add_subcommand(
      "synth",
      "Write synthetic feature files with the statistics of real "
      "ones; the same bytes for the same seed.");
  command.add_flag("--json", a->common.json, "print JSON for scripts");
  command
      .add_option("directory", a->directory,
                  "created if need be; must hold no .npy files yet")
      ->required();
  command
      .add_option("--frames", a->frames,
                  "in all, 500 a file; 50 are one second")
      ->check(CLI::Range(uint64_t{1}, uint64_t{100'000'000}))
      ->capture_default_str();
  command.add_option("--voice", a->voice, "seed of the voice")
      ->capture_default_str();
  command.add_option("--dimension", a->dimension, "256 (RVC v1), 768 (v2)")
      ->check(CLI::Range(2, 4096))
      ->capture_default_str();
  SetBody(command, exit_code, a->common, [a] { return Run(*a); });
}

}  // namespace timbre::cli
