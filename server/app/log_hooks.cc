#include "server/app/log_hooks.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "server/base/log.h"

namespace timbre {
namespace {

constexpr absl::Duration kLastLines = absl::Seconds(1);

void LogFromGrpc(gpr_log_func_args* args) {
  const LogLevel level = args->severity == GPR_LOG_SEVERITY_ERROR
                             ? LogLevel::kWarning
                             : LogLevel::kDebug;
  Log(level, "grpc", {{"message", std::string(args->message)}});
  // abort() comes next.
  if (absl::StartsWith(args->message, "assertion failed")) {
    FlushLog(kLastLines);
  }
}

void LogFromProtobuf(google::protobuf::LogLevel, const char*, int,
                     const std::string& message) {
  Log(LogLevel::kDebug, "protobuf", {{"message", message}});
}

}  // namespace

void TakeLibraryLogs() {
  gpr_set_log_function(&LogFromGrpc);
  google::protobuf::SetLogHandler(&LogFromProtobuf);
}

}  // namespace timbre
