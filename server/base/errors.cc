#include "server/base/errors.h"

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

constexpr char32_t kNoCodePoint = 0xffffffff;

struct CodePoint {
  char32_t value = kNoCodePoint;
  size_t bytes = 1;
};

// What `text`, which is not empty, begins with: a byte of no value where that
// is no UTF-8.
CodePoint FirstOf(absl::string_view text) {
  const auto byte = [text](size_t i) {
    return static_cast<unsigned char>(text[i]);
  };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {.value = lead, .bytes = 1};
  const size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {};
  char32_t value = lead & (0xffU >> (bytes + 1));
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    value = value << 6 | (byte(i) & 0x3f);
  }
  const bool overlong =
      (bytes == 3 && value < 0x800) || (bytes == 4 && value < 0x10000);
  const bool surrogate = value >= 0xd800 && value <= 0xdfff;
  if (overlong || surrogate || value > 0x10ffff) return {};
  return {.value = value, .bytes = bytes};
}

bool IsShown(char32_t c) {
  const auto within = [c](char32_t first, char32_t last) {
    return c >= first && c <= last;
  };
  const bool control = c < 0x20 || within(0x7f, 0x9f);
  // These turn the direction of the text around them, or end its line.
  const bool turns = c == 0x61c || within(0x200e, 0x200f) ||
                     within(0x202a, 0x202e) || within(0x2066, 0x2069);
  const bool ends_line = within(0x2028, 0x2029);
  return !control && !turns && !ends_line && c != '\\' && c != kNoCodePoint;
}

std::string Escaped(absl::string_view bytes) {
  std::string escaped;
  for (const char c : bytes) {
    absl::StrAppend(&escaped, "\\x",
                    absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
  }
  return escaped;
}

}  // namespace

std::string Printable(absl::string_view text, size_t limit) {
  std::string shown;
  while (!text.empty()) {
    const CodePoint point = FirstOf(text);
    const absl::string_view bytes = text.substr(0, point.bytes);
    const std::string next =
        IsShown(point.value) ? std::string(bytes) : Escaped(bytes);
    if (shown.size() + next.size() > limit) return shown + "...";
    shown += next;
    text.remove_prefix(point.bytes);
  }
  return shown;
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
