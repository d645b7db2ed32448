#include "server/catalog/records/speaker_name.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/base/errors.h"

namespace timbre {
namespace {

constexpr size_t kMaxLength = 63;

bool IsFirst(char c) {
  return absl::ascii_islower(c) || absl::ascii_isdigit(c);
}
bool IsLater(char c) { return IsFirst(c) || c == '.' || c == '_' || c == '-'; }

}  // namespace

absl::Status CheckSpeakerName(absl::string_view name, absl::string_view field) {
  if (!name.empty() && name.size() <= kMaxLength && IsFirst(name[0]) &&
      std::all_of(name.begin(), name.end(), IsLater)) {
    return absl::OkStatus();
  }
  return InvalidField(field, absl::StrCat("\"", name.substr(0, 100), "\""),
                      "1 to 63 of a-z, 0-9, '.', '_' and '-', the first a "
                      "letter or a digit");
}

}  // namespace timbre
