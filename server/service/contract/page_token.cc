#include "server/service/contract/page_token.h"

#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/checksum.h"
#include "server/base/errors.h"

namespace timbre {

std::string MakePageToken(const std::string& prefix, const std::string& last) {
  return absl::WebSafeBase64Escape(absl::StrCat(
      last, "\n", DigestOf(absl::StrCat("page\n", prefix, "\n", last))));
}

absl::StatusOr<std::string> ParsePageToken(const std::string& prefix,
                                           const std::string& token) {
  if (token.empty()) return std::string();
  std::string text;
  if (absl::WebSafeBase64Unescape(token, &text)) {
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(text, absl::MaxSplits('\n', 1));
    if (MakePageToken(prefix, parts.first) == token) return parts.first;
  }
  return InvalidField("page_token", token,
                      "empty, or the next_page_token of a ListSpeakers with "
                      "the same prefix");
}

}  // namespace timbre
