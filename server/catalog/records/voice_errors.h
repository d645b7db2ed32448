// What callers are told of voices that are not as they believe. Pure.
#ifndef TIMBRE_SERVER_CATALOG_RECORDS_VOICE_ERRORS_H_
#define TIMBRE_SERVER_CATALOG_RECORDS_VOICE_ERRORS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace timbre {

// NOT_FOUND, SPEAKER_NOT_FOUND and VERSION_NOT_FOUND.
absl::Status NoSpeaker(absl::string_view speaker);
absl::Status NoVersion(absl::string_view speaker, uint64_t version);
// FAILED_PRECONDITION, VERSION_ACTIVE: of a deletion.
absl::Status VersionActive(absl::string_view speaker, uint64_t version);
// ABORTED, SPEAKER_DELETED and VERSION_DELETED: while it was built or tuned.
absl::Status SpeakerDeleted(absl::string_view speaker);
absl::Status VersionDeleted(absl::string_view speaker, uint64_t version);

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_RECORDS_VOICE_ERRORS_H_
