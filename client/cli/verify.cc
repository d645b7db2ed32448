// timbre verify: whether the stored files are still what was published.
#include <unistd.h>

#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/command.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"

namespace timbre::cli {
namespace {

struct VerifyArguments {
  Common common;
  std::string speaker;  // empty: all
};

// Says what is damaged as it comes, and counts.
class Report {
 public:
  explicit Report(bool json)
      : json_(json), bar_(!json && isatty(STDERR_FILENO) == 1) {}

  absl::Status Hear(const v1::VerifyResponse& response) {
    bytes_ = response.bytes_done();
    if (bar_) ClearBar();
    if (!response.speaker().empty()) Take(response);
    if (bar_) ShowBar(response);
    return absl::OkStatus();
  }

  void Finish() const {
    if (json_) {
      return PrintJson(
          {{"versions", versions_}, {"damaged", damaged_}, {"bytes", bytes_}});
    }
    std::cout << absl::StrFormat("%d versions, %s: %d damaged\n", versions_,
                                 HumanBytes(bytes_), damaged_.size());
  }

  absl::Status Outcome() const {
    if (damaged_.empty()) return absl::OkStatus();
    return MakeError(absl::StatusCode::kDataLoss, "FILE_CORRUPT",
                     absl::StrCat(damaged_.size(), " of ", versions_,
                                  " versions are damaged"));
  }

  void ClearBar() const {
    if (bar_) std::cerr << "\r\x1b[K";
  }

 private:
  void Take(const v1::VerifyResponse& response) {
    ++versions_;
    if (response.damage().empty()) return;
    damaged_.push_back({{"speaker", response.speaker()},
                        {"version", response.version()},
                        {"damage", response.damage()}});
    if (json_) return;
    const std::string version =
        response.version() == 0  // the voice as a whole
            ? ""
            : absl::StrCat(" version ", response.version());
    std::cout << response.speaker() << version << ": " << response.damage()
              << std::endl;
  }

  void ShowBar(const v1::VerifyResponse& response) const {
    const double share = response.bytes_total() == 0
                             ? 1
                             : static_cast<double>(response.bytes_done()) /
                                   static_cast<double>(response.bytes_total());
    std::cerr << absl::StrFormat("\r%3.0f %%  %s of %s, %d damaged\x1b[K",
                                 100 * share, HumanBytes(response.bytes_done()),
                                 HumanBytes(response.bytes_total()),
                                 damaged_.size());
  }

  const bool json_;
  const bool bar_;
  uint64_t versions_ = 0;
  uint64_t bytes_ = 0;
  nlohmann::json damaged_ = nlohmann::json::array();
};

absl::Status Verify(const VerifyArguments& arguments) {
  Report report(arguments.common.json);
  const absl::Status status = arguments.common.Connect().Verify(
      arguments.speaker, [&report](const v1::VerifyResponse& response) {
        return report.Hear(response);
      });
  report.ClearBar();
  TIMBRE_RETURN_IF_ERROR(status);
  report.Finish();
  return report.Outcome();
}

}  // namespace

void AddVerify(CLI::App& app, int* exit_code) {
  auto a = std::make_shared<VerifyArguments>();
  CLI::App& command = *app.add_subcommand(
      "verify",
      "Have the server compare stored files with their digests; exit code 6 if "
      "a version is damaged.");
  AddCommonOptions(command, a->common);
  command.add_option("speaker", a->speaker, "the voice; default: all");
  SetBody(command, exit_code, a->common, [a] { return Verify(*a); });
}

}  // namespace timbre::cli
