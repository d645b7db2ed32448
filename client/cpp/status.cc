#include "client/cpp/status.h"

#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "server/base/errors.h"
#include "timbre/rpc/status.pb.h"

namespace timbre::client {

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  ErrorDetails details;
  rpc::Status message;
  message.ParseFromString(status.error_details());
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
  return MakeErrorWithDetails(
      static_cast<absl::StatusCode>(status.error_code()),
      status.error_message(), details);
}

}  // namespace timbre::client
