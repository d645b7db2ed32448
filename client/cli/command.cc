#include "client/cli/command.h"

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/files/output.h"
#include "server/base/errors.h"

namespace timbre::cli {
namespace {

std::string Hint(const absl::Status& status, const Common& common) {
  const ErrorDetails details = DetailsOf(status);
  if (details.retry_after) {
    return absl::StrCat("try again in ",
                        absl::FormatDuration(*details.retry_after));
  }
  if (details.reason == "NOT_SERVING") {
    return "it is starting or shutting down; try again";
  }
  if (details.reason == "SPEAKER_NOT_FOUND") {
    return "`timbre list` shows the voices, `timbre build` makes one";
  }
  if (details.reason == "VERSION_NOT_FOUND" ||
      details.reason == "NO_ACTIVE_VERSION") {
    return "`timbre show SPEAKER` lists the versions";
  }
  if (details.reason == "OUTCOME_UNKNOWN") {
    return "it may be done or not: look with `timbre show SPEAKER` before you "
           "try again";
  }
  if (details.reason == "STREAM_CUT" || details.reason == "PROXY_TIMEOUT") {
    return "";  // it was there
  }
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
      return absl::StrCat("is timbred running at ", common.server,
                          "? --server or TIMBRE_SERVER names another");
    case absl::StatusCode::kDeadlineExceeded:
      return "the server is overloaded or out of reach; try again, or wait "
             "longer with --timeout";
    case absl::StatusCode::kDataLoss:
      return "put the files back from a copy, activate another version, or "
             "build it anew; `timbre verify` looks again";
    default:
      return "";
  }
}

}  // namespace

void AddDuration(CLI::App& command, const std::string& name,
                 absl::Duration default_value, const std::string& text,
                 std::function<void(absl::Duration)> set,
                 absl::Duration least) {
  command.add_option_function<std::string>(
      name,
      [set = std::move(set), name, least](const std::string& given) {
        absl::Duration duration;
        double seconds = 0;
        const bool number = absl::SimpleAtod(given, &seconds);
        if (number) duration = absl::Seconds(seconds);
        if ((!number && !absl::ParseDuration(given, &duration)) ||
            duration < least || !(duration <= absl::Hours(24))) {
          throw CLI::ValidationError(
              name, absl::StrCat(given, " is no duration from ",
                                 absl::FormatDuration(least),
                                 " up to 24h: 250ms, 30s, 5m"));
        }
        set(duration);
      },
      absl::StrCat(text, "; default ", absl::FormatDuration(default_value)));
}

void AddServerOptions(CLI::App& command, Common& common,
                      absl::Duration timeout) {
  command
      .add_option("--server", common.server,
                  "the server, HOST:PORT, [IPV6]:PORT or unix:PATH")
      ->envname("TIMBRE_SERVER")
      ->default_val("127.0.0.1:7400");
  common.timeout = timeout;
  AddDuration(
      command, "--timeout", timeout,
      "give up after so long without a sign of life, 10ms at least",
      [&common](absl::Duration given) { common.timeout = given; },
      absl::Milliseconds(10));
}

void AddCommonOptions(CLI::App& command, Common& common,
                      absl::Duration timeout) {
  AddServerOptions(command, common, timeout);
  command.add_flag("--json", common.json, "print JSON for scripts");
}

void SetBody(CLI::App& command, int* exit_code, const Common& common,
             std::function<absl::Status()> body) {
  command.callback([exit_code, &common, body = std::move(body)] {
    const absl::Status status = body();
    if (!status.ok()) PrintError(status, common);
    *exit_code = ExitCode(status);
  });
}

int ExitCode(const absl::Status& status) {
  // It never fits, however often it is tried.
  if (DetailsOf(status).reason == "VERSION_TOO_LARGE") return 3;
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return 0;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kUnimplemented:
      return 3;
    case absl::StatusCode::kNotFound:
      return 4;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kAborted:
      return 5;
    case absl::StatusCode::kDataLoss:
      return 6;
    default:
      return 1;
  }
}

void PrintError(const absl::Status& status, const Common& common) {
  const std::string hint = Hint(status, common);
  std::cerr << "timbre: " << status.message() << "\n";
  if (!hint.empty()) std::cerr << "        " << hint << "\n";
}

void PrintTable(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const bool last = i + 1 == row.size();
      absl::StrAppend(
          &line, last ? row[i]
                      : absl::StrFormat("%-*s", static_cast<int>(widths[i] + 2),
                                        row[i]));
    }
    std::cout << line << "\n";
  }
}

void PrintJson(const nlohmann::json& value) {
  std::cout << value.dump(2, ' ', false,
                          nlohmann::json::error_handler_t::replace)
            << "\n";
}

absl::Status WriteText(const std::string& path, const std::string& text) {
  if (path.empty()) return absl::OkStatus();
  return client::WriteWhole(path, [&](OutputFile& out) {
    return out.Append(text.data(), text.size());
  });
}

std::string HumanBytes(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1000 && unit + 1 < std::size(kUnits); ++unit) value /= 1000;
  return absl::StrFormat("%.*f %s", unit == 0 ? 0 : 1, value, kUnits[unit]);
}

}  // namespace timbre::cli
