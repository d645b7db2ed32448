#include "server/base/errors.h"

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
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
  std::string escaped;
  for (const char c : text.substr(0, limit + 1)) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isprint(byte) && c != '\\') {
      escaped.push_back(c);
    } else {
      absl::StrAppend(&escaped, "\\x", absl::Hex(byte, absl::kZeroPad2));
    }
  }
  if (escaped.size() <= limit) return escaped;
  escaped.resize(limit);
  return escaped + "...";
}

absl::Status MakeErrorWithDetails(absl::StatusCode code, absl::string_view text,
                                  const ErrorDetails& details) {
  absl::Status status(code, text);
  if (!details.reason.empty()) {
    status.SetPayload(kReason, absl::Cord(details.reason));
  }
  if (!details.field.empty()) {
    status.SetPayload(kField, absl::Cord(details.field));
  }
  if (details.retry_after) {
    status.SetPayload(kRetry,
                      absl::Cord(absl::FormatDuration(*details.retry_after)));
  }
  return status;
}

absl::Status InvalidField(absl::string_view field, absl::string_view value,
                          absl::string_view accepted) {
  return MakeErrorWithDetails(
      absl::StatusCode::kInvalidArgument,
      absl::StrCat(field, ": ", Printable(value), " is not accepted; must be ",
                   accepted),
      {.reason = "INVALID_FIELD",
       .field = std::string(field),
       .retry_after = std::nullopt});
}

absl::Status MakeError(absl::StatusCode code, absl::string_view reason,
                       absl::string_view text) {
  return MakeErrorWithDetails(code, text,
                              {.reason = std::string(reason),
                               .field = "",
                               .retry_after = std::nullopt});
}

absl::Status MakeRetryableError(absl::StatusCode code, absl::string_view reason,
                                absl::string_view text,
                                absl::Duration retry_after) {
  return MakeErrorWithDetails(
      code, text,
      {.reason = std::string(reason), .field = "", .retry_after = retry_after});
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
