// One request to an S3 server and what its answer means: for s3_store.h alone.
#ifndef TIMBRE_SERVER_OBJECTS_S3_CALL_H_
#define TIMBRE_SERVER_OBJECTS_S3_CALL_H_

#include <cstddef>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/objects/http_client.h"
#include "server/objects/object_store.h"
#include "server/objects/s3_target.h"
#include "server/objects/signature.h"

namespace timbre {

struct S3Call {
  std::string method;
  std::string key;  // "": the bucket
  std::map<std::string, std::string> query;
  std::map<std::string, std::string> headers;
  absl::string_view body;  // outlives the call; of `owned` if there is one
  std::shared_ptr<const std::string> owned;
  size_t max_answer_bytes = 1 << 20;
  // A write under a condition: what is not answered may have been done.
  bool conditional = false;
  // It moves a piece of a file: bounded by what moves, not by the whole.
  bool bulk = false;
};

// What an attempt came to.
struct S3Outcome {
  enum class Kind : uint8_t {
    kAnswer,   // 2xx or 304
    kRefused,  // `error` is for good
    kExpired,  // the credentials are: `error` unless there are others
    kFailed,   // may be repeated
    kGivenUp,  // nobody waits any more
  };
  Kind kind = Kind::kFailed;
  HttpAnswer answer;
  absl::Status error;
  bool may_be_done = false;  // of kFailed and kGivenUp
};

// As it is to be sent now. Pure but for the time of day.
HttpRequest SignedRequest(const S3Call& call, const S3Target& target,
                          const Credentials& credentials);
// Pure.
S3Outcome Understand(const S3Call& call, absl::StatusOr<HttpAnswer> answer);

}  // namespace timbre

#endif  // TIMBRE_SERVER_OBJECTS_S3_CALL_H_
