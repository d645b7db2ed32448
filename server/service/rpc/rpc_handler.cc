#include "server/service/rpc/rpc_handler.h"

#include "absl/time/time.h"
#include "server/base/errors.h"

namespace timbre {

absl::Status DrainingError() {
  return MakeRetryableError(absl::StatusCode::kUnavailable, "DRAINING",
                            "the server is shutting down; try again",
                            absl::Seconds(1));
}

absl::Status NoRequestError() {
  return InvalidField("request", "nothing", "one message");
}

}  // namespace timbre
