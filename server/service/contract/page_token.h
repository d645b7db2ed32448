// Page tokens of ListSpeakers. Pure functions, thread-safe.
#ifndef TIMBRE_SERVER_SERVICE_CONTRACT_PAGE_TOKEN_H_
#define TIMBRE_SERVER_SERVICE_CONTRACT_PAGE_TOKEN_H_

#include <string>

#include "absl/status/statusor.h"

namespace timbre {

// A token for the page after `last`, of a list with this `prefix`.
std::string MakePageToken(const std::string& prefix, const std::string& last);

// The `last` of a token; empty for an empty one. INVALID_ARGUMENT for what
// MakePageToken did not make, or made for another prefix.
absl::StatusOr<std::string> ParsePageToken(const std::string& prefix,
                                           const std::string& token);

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_CONTRACT_PAGE_TOKEN_H_
