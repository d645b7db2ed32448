#include "server/base/errors.h"

#include "absl/strings/cord.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace timbre {
namespace {

constexpr absl::string_view kReason = "timbre/reason";
constexpr absl::string_view kField = "timbre/field";
constexpr absl::string_view kRetry = "timbre/retry_after";

std::string PayloadOr(const absl::Status& status, absl::string_view url,
                      absl::string_view fallback) {
  const auto payload = status.GetPayload(url);
  return payload ? std::string(*payload) : std::string(fallback);
}

}  // namespace

std::string Printable(absl::string_view text, size_t limit) {
  std::string escaped = absl::CHexEscape(text.substr(0, limit + 1));
  if (escaped.size() <= limit) return escaped;
  escaped.resize(limit);
  return escaped + "...";
}

absl::Status InvalidField(absl::string_view field, absl::string_view value,
                          absl::string_view accepted) {
  absl::Status status = absl::InvalidArgumentError(absl::StrCat(
      field, ": ", Printable(value), " is not accepted; must be ", accepted));
  status.SetPayload(kReason, absl::Cord("INVALID_FIELD"));
  status.SetPayload(kField, absl::Cord(field));
  return status;
}

absl::Status MakeError(absl::StatusCode code, absl::string_view reason,
                       absl::string_view text) {
  absl::Status status(code, text);
  status.SetPayload(kReason, absl::Cord(reason));
  return status;
}

absl::Status MakeRetryableError(absl::StatusCode code, absl::string_view reason,
                                absl::string_view text,
                                absl::Duration retry_after) {
  absl::Status status = MakeError(code, reason, text);
  status.SetPayload(kRetry, absl::Cord(absl::FormatDuration(retry_after)));
  return status;
}

ErrorDetails DetailsOf(const absl::Status& status) {
  ErrorDetails details{
      .reason =
          PayloadOr(status, kReason, absl::StatusCodeToString(status.code())),
      .field = PayloadOr(status, kField, ""),
      .retry_after = std::nullopt};
  absl::Duration retry;
  if (absl::ParseDuration(PayloadOr(status, kRetry, ""), &retry)) {
    details.retry_after = retry;
  }
  return details;
}

absl::Status Annotate(const absl::Status& status, absl::string_view context) {
  if (status.ok()) return status;
  absl::Status annotated(status.code(),
                         absl::StrCat(context, ": ", status.message()));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    annotated.SetPayload(url, payload);
  });
  return annotated;
}

}  // namespace timbre
