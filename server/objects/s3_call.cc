#include "server/objects/s3_call.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/errors.h"
#include "server/objects/s3_messages.h"

namespace timbre {
namespace {

using Kind = S3Outcome::Kind;

S3Outcome Refused(absl::Status error) {
  return {.kind = Kind::kRefused, .answer = {}, .error = std::move(error)};
}

// "PUT heads/alice: 403 AccessDenied (Access Denied)"
std::string TextOf(const S3Call& call, const HttpAnswer& answer,
                   const S3Error& error) {
  std::string text = absl::StrCat(
      "the object store answered ", call.method, " ",
      call.key.empty() ? "of the bucket" : call.key, " with ", answer.status);
  if (!error.code.empty()) absl::StrAppend(&text, " ", error.code);
  if (!error.message.empty()) absl::StrAppend(&text, " (", error.message, ")");
  return text;
}

bool SaysExpired(const S3Error& error) {
  return error.code == "ExpiredToken" || error.code == "TokenRefreshRequired" ||
         error.code == "ExpiredTokenException";
}

// What may go away by itself. 409 to a condition is decided by reading.
bool SaysAgain(const S3Call& call, int status, const S3Error& error) {
  return (status >= 500 && status != 501) || status == 429 || status == 408 ||
         (status == 409 && !call.conditional) || error.code == "RequestTimeout";
}

absl::Status ErrorOf(const S3Call& call, const HttpAnswer& answer,
                     const S3Error& error) {
  const std::string text = TextOf(call, answer, error);
  switch (answer.status) {
    case 404:
      if (error.code == "NoSuchBucket") {
        return MakeError(absl::StatusCode::kNotFound, "NO_SUCH_BUCKET", text);
      }
      // An ingress without a backend says 404 too.
      if (error.code != "NoSuchKey" && call.method != "HEAD") {
        return MakeError(absl::StatusCode::kInternal, "STORE_ERROR", text);
      }
      // A condition on what is not there.
      if (call.conditional) return absl::FailedPreconditionError(text);
      return MakeError(absl::StatusCode::kNotFound, "NO_SUCH_OBJECT", text);
    case 409:
      return MakeError(absl::StatusCode::kUnknown, "OUTCOME_UNKNOWN", text);
    case 416:
      return absl::DataLossError(text);
    case 412:
      return absl::FailedPreconditionError(text);
    case 401:
    case 403:
      return MakeError(absl::StatusCode::kPermissionDenied, "STORE_DENIED",
                       text);
    default:
      return MakeError(absl::StatusCode::kInternal, "STORE_ERROR", text);
  }
}

S3Outcome NoAnswer(const S3Call& call, const absl::Status& status) {
  S3Outcome outcome{.kind = Kind::kFailed, .answer = {}, .error = status};
  outcome.may_be_done = call.conditional && !absl::IsUnavailable(status);
  if (absl::IsCancelled(status)) outcome.kind = Kind::kGivenUp;
  // What was asked for has more bytes than it may.
  if (absl::IsOutOfRange(status)) outcome.kind = Kind::kRefused;
  return outcome;
}

}  // namespace

HttpRequest SignedRequest(const S3Call& call, const S3Target& target,
                          const Credentials& credentials) {
  const std::string path = target.PathOf(call.key);
  HttpRequest request{.method = call.method,
                      .headers = call.headers,
                      .body = call.body,
                      .max_answer_bytes = call.max_answer_bytes,
                      .once = call.conditional};
  request.url =
      absl::StrCat(target.scheme, "://", target.host, EncodePath(path));
  if (!call.query.empty()) {
    absl::StrAppend(&request.url, "?", EncodeQuery(call.query));
  }
  request.headers.merge(Sign({.method = call.method,
                              .host = target.host,
                              .path = path,
                              .query = call.query,
                              .headers = call.headers,
                              .payload_sha256 = Sha256Hex(call.body)},
                             credentials, target.region, absl::Now()));
  request.headers["host"] = target.host;
  return request;
}

S3Outcome Understand(const S3Call& call, absl::StatusOr<HttpAnswer> answer) {
  if (!answer.ok()) return NoAnswer(call, answer.status());
  const int status = answer->status;
  if ((status >= 200 && status < 300) || status == 304) {
    return {.kind = Kind::kAnswer, .answer = *std::move(answer), .error = {}};
  }
  const S3Error error = ParseS3Error(answer->body);
  if (SaysExpired(error)) {
    return {.kind = Kind::kExpired,
            .answer = {},
            .error = MakeError(absl::StatusCode::kPermissionDenied,
                               "STORE_DENIED", TextOf(call, *answer, error))};
  }
  if (!SaysAgain(call, status, error)) {
    return Refused(ErrorOf(call, *answer, error));
  }
  return {.kind = Kind::kFailed,
          .answer = {},
          .error = absl::UnavailableError(TextOf(call, *answer, error)),
          .may_be_done = call.conditional};
}

}  // namespace timbre
