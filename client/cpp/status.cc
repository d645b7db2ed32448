#include "client/cpp/status.h"

#include <cstdint>
#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/base/errors.h"
#include "timbre/rpc/status.pb.h"

namespace timbre::client {
namespace {

ErrorDetails ReadDetails(const rpc::Status& message) {
  ErrorDetails details;
  for (const google::protobuf::Any& detail : message.details()) {
    rpc::ErrorInfo info;
    rpc::BadRequest bad_request;
    rpc::RetryInfo retry;
    if (absl::EndsWith(detail.type_url(), ".ErrorInfo") &&
        info.ParseFromString(detail.value())) {
      details.reason = info.reason();
    } else if (absl::EndsWith(detail.type_url(), ".BadRequest") &&
               bad_request.ParseFromString(detail.value()) &&
               bad_request.field_violations_size() > 0) {
      details.field = bad_request.field_violations(0).field();
    } else if (absl::EndsWith(detail.type_url(), ".RetryInfo") &&
               retry.ParseFromString(detail.value())) {
      details.retry_after = absl::Seconds(retry.retry_delay().seconds()) +
                            absl::Nanoseconds(retry.retry_delay().nanos());
    }
  }
  return details;
}

// The number behind gRPC's words for an HTTP status; 0 without them.
uint32_t HttpStatusIn(absl::string_view text) {
  constexpr absl::string_view kWords = "http2 header with status: ";
  const size_t at = text.find(kWords);
  if (at == absl::string_view::npos) return 0;
  text.remove_prefix(at + kWords.size());
  uint32_t number = 0;
  return absl::SimpleAtoi(text.substr(0, 3), &number) ? number : 0;
}

absl::Status FromHttpStatus(uint32_t http, absl::StatusCode grpcs_guess) {
  const std::string answer = absl::StrCat(" (HTTP status ", http, ")");
  switch (http) {
    case 413:
      return MakeError(absl::StatusCode::kResourceExhausted, "BODY_TOO_LARGE",
                       absl::StrCat("a proxy in between refuses bodies of this "
                                    "size (nginx: client_max_body_size)",
                                    answer));
    case 502:
    case 503:
      return MakeError(
          absl::StatusCode::kUnavailable, "NO_SERVER_BEHIND",
          absl::StrCat("a proxy in between reaches no server", answer));
    case 504:
      return MakeError(absl::StatusCode::kUnavailable, "PROXY_TIMEOUT",
                       absl::StrCat("a proxy in between has waited too long "
                                    "for the server (nginx: grpc_read_timeout)",
                                    answer));
    default:
      return MakeError(grpcs_guess, "PROXY_REFUSED",
                       absl::StrCat("a proxy in between refuses the call, or "
                                    "what answers is no Timbre server",
                                    answer));
  }
}

// Whether gRPC's text is of a page where frames of gRPC should be.
bool IsNoGrpc(absl::string_view text) {
  return absl::StrContains(text, "Bad GRPC frame type") ||
         absl::StrContains(text, "invalid value 'text/") ||
         absl::StrContains(text, "content-type: text/");
}

// Whether something on the way has reset the stream. (A server that wants less
// is another code.)
bool IsCut(const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::StatusCode::CANCELLED:
    case grpc::StatusCode::INTERNAL:
    case grpc::StatusCode::UNKNOWN:
    case grpc::StatusCode::UNAVAILABLE:
      return absl::StrContains(status.error_message(), "RST_STREAM");
    default:
      return false;
  }
}

// A status without details: gRPC's own, or a proxy's.
absl::Status FromElsewhere(const grpc::Status& status) {
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  const std::string& text = status.error_message();
  if (const uint32_t http = HttpStatusIn(text)) {
    return FromHttpStatus(http, code);
  }
  if (IsNoGrpc(text)) {
    return MakeError(
        absl::StatusCode::kUnavailable, "NO_GRPC_ANSWER",
        absl::StrCat("what answers speaks no gRPC: a proxy's error page, or "
                     "another server's port (",
                     text, ")"));
  }
  if (IsCut(status)) {
    return MakeError(
        absl::StatusCode::kUnavailable, "STREAM_CUT",
        absl::StrCat("the stream was cut on its way: the server went away, or "
                     "a proxy in between has a limit of time or size (nginx: "
                     "client_max_body_size, grpc_read_timeout; HAProxy: "
                     "timeout client, timeout server) (",
                     text, ")"));
  }
  return absl::Status(code, text);
}

}  // namespace

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  rpc::Status message;
  if (status.error_details().empty() ||
      !message.ParseFromString(status.error_details())) {
    return FromElsewhere(status);
  }
  const bool own_code = message.code() > 0 && message.code() <= 16;
  const int code = own_code ? message.code() : status.error_code();
  const std::string& text = own_code && !message.message().empty()
                                ? message.message()
                                : status.error_message();
  return MakeErrorWithDetails(static_cast<absl::StatusCode>(code), text,
                              ReadDetails(message));
}

}  // namespace timbre::client
