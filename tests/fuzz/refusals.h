// What must hold for every status that a stranger can provoke.
#ifndef TIMBRE_TESTS_FUZZ_REFUSALS_H_
#define TIMBRE_TESTS_FUZZ_REFUSALS_H_

#include <google/protobuf/stubs/common.h>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "server/base/errors.h"
#include "tests/fuzz/fuzzing.h"

namespace timbre::fuzz {

// A text for people, whatever it quotes: UTF-8, no control characters, short.
inline void RequireReadable(absl::string_view text) {
  Require(text.size() < 2000, "an error's text is short", text);
  for (const char c : text) {
    Require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f,
            "an error's text holds no control characters", text);
  }
  Require(google::protobuf::internal::IsStructurallyValidUTF8(
              text.data(), static_cast<int>(text.size())),
          "an error's text is UTF-8", text);
}

// INVALID_ARGUMENT that begins with the field it names.
inline void RequireNamesField(const absl::Status& status) {
  RequireReadable(status.message());
  const ErrorDetails details = DetailsOf(status);
  RequireReadable(details.field);
  Require(status.code() == absl::StatusCode::kInvalidArgument &&
              !details.field.empty() && details.reason == "INVALID_FIELD" &&
              absl::StartsWith(status.message(), details.field),
          "a refusal names its field", status.ToString());
}

// An error of this code with a reason for programs.
inline void RequireReason(const absl::Status& status, absl::StatusCode code,
                          absl::string_view reason) {
  RequireReadable(status.message());
  Require(status.code() == code && DetailsOf(status).reason == reason,
          "a refusal has its reason", status.ToString());
}

}  // namespace timbre::fuzz

#endif  // TIMBRE_TESTS_FUZZ_REFUSALS_H_
