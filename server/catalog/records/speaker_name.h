// Which names a speaker may have.
#ifndef TIMBRE_SERVER_CATALOG_RECORDS_SPEAKER_NAME_H_
#define TIMBRE_SERVER_CATALOG_RECORDS_SPEAKER_NAME_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace timbre {

// [a-z0-9] then up to 62 of [a-z0-9._-]: safe as a directory's name, as a
// metric's label and as a header. INVALID_ARGUMENT naming `field` for anything
// else.
absl::Status CheckSpeakerName(absl::string_view name,
                              absl::string_view field = "speaker");

}  // namespace timbre

#endif  // TIMBRE_SERVER_CATALOG_RECORDS_SPEAKER_NAME_H_
