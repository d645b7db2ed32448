// Errors that a caller can provoke, with the details that the contract
// promises: a reason for programs, a field for people, a retry hint.
//
// An error is an absl::Status whose payloads hold its ErrorDetails; only
// service/status_mapper turns them into google.rpc messages. All functions are
// pure and thread-safe.
#ifndef TIMBRE_SERVER_BASE_ERRORS_H_
#define TIMBRE_SERVER_BASE_ERRORS_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace timbre {

struct ErrorDetails {
  std::string reason;  // UPPER_SNAKE_CASE
  std::string field;   // path of the offending field, or empty
  std::optional<absl::Duration> retry_after;
};

// INVALID_ARGUMENT: "<field>: <value> is not accepted; must be <accepted>".
// `value` is made safe to print (escaped, cut to 80 bytes).
absl::Status InvalidField(absl::string_view field, absl::string_view value,
                          absl::string_view accepted);

// An error of any code with a reason.
absl::Status MakeError(absl::StatusCode code, absl::string_view reason,
                       absl::string_view text);

// RESOURCE_EXHAUSTED or UNAVAILABLE that goes away by itself.
absl::Status MakeRetryableError(absl::StatusCode code, absl::string_view reason,
                                absl::string_view text,
                                absl::Duration retry_after);

// An error with the details given; empty ones are left out.
absl::Status MakeErrorWithDetails(absl::StatusCode code, absl::string_view text,
                                  const ErrorDetails& details);

// The details of an error; the reason of one that was made elsewhere is the
// name of its code.
ErrorDetails DetailsOf(const absl::Status& status);

// The same error with `context: ` before its text, details kept.
absl::Status Annotate(const absl::Status& status, absl::string_view context);

// `text` for people to read, in UTF-8 and at most `limit` bytes and "...": what
// would change how the rest is shown (control characters, those that turn the
// direction of writing, ends of lines), backslashes and what is no UTF-8 are
// escaped byte by byte (\xNN); nothing is cut in the middle.
std::string Printable(absl::string_view text, size_t limit = 80);

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_ERRORS_H_
