// The header by which proxies route calls of one speaker to one server.
#ifndef TIMBRE_SERVER_SERVICE_CONTRACT_SPEAKER_METADATA_H_
#define TIMBRE_SERVER_SERVICE_CONTRACT_SPEAKER_METADATA_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace timbre {

// INVALID_ARGUMENT unless `metadata` (the header timbre-speaker) is empty or
// names `speaker`.
absl::Status CheckSpeakerMetadata(absl::string_view metadata,
                                  const std::string& speaker);

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_CONTRACT_SPEAKER_METADATA_H_
