#include "server/service/transport/status_mapper.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/base/errors.h"
#include "timbre/rpc/status.pb.h"

namespace timbre {
namespace {

void AddDetail(absl::string_view type, const google::protobuf::Message& detail,
               rpc::Status& status) {
  google::protobuf::Any& any = *status.add_details();
  any.set_type_url(absl::StrCat("type.googleapis.com/google.rpc.", type));
  any.set_value(detail.SerializeAsString());
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const ErrorDetails details = DetailsOf(status);
  rpc::Status message;
  message.set_code(static_cast<int>(status.code()));
  message.set_message(std::string(status.message()));
  rpc::ErrorInfo info;
  info.set_reason(details.reason);
  info.set_domain("timbre");
  AddDetail("ErrorInfo", info, message);
  if (!details.field.empty()) {
    rpc::BadRequest bad_request;
    auto& violation = *bad_request.add_field_violations();
    violation.set_field(details.field);
    violation.set_description(message.message());
    AddDetail("BadRequest", bad_request, message);
  }
  if (details.retry_after) {
    rpc::RetryInfo retry;
    const int64_t nanos = absl::ToInt64Nanoseconds(*details.retry_after);
    retry.mutable_retry_delay()->set_seconds(nanos / 1'000'000'000);
    retry.mutable_retry_delay()->set_nanos(
        static_cast<int32_t>(nanos % 1'000'000'000));
    AddDetail("RetryInfo", retry, message);
  }
  return {static_cast<grpc::StatusCode>(status.code()), message.message(),
          message.SerializeAsString()};
}

}  // namespace timbre
