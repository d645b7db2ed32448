// Page tokens: what was not made for this list is refused.
#include "server/service/contract/page_token.h"
#include "tests/fuzz/fuzzing.h"
#include "tests/fuzz/refusals.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using timbre::MakePageToken;
  using timbre::ParsePageToken;
  using timbre::fuzz::Require;
  timbre::fuzz::Bytes bytes(data, size);
  const std::string prefix = bytes.Text(bytes.Number(0, 80));
  const std::string token = bytes.Rest();
  const auto last = ParsePageToken(prefix, token);
  if (last.ok()) {
    Require(token.empty() || MakePageToken(prefix, *last) == token,
            "a token that is accepted was made for this list");
  } else {
    timbre::fuzz::RequireNamesField(last.status());
  }
  // The input as a name, which has no line ends.
  std::string name = token.substr(0, token.find('\n'));
  const std::string made = MakePageToken(prefix, name);
  const auto read = ParsePageToken(prefix, made);
  Require(read.ok() && *read == name, "a token survives the round trip", made);
  Require(!ParsePageToken(prefix + "x", made).ok(),
          "a token is of one list alone", made);
  return 0;
}
