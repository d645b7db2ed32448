// The voice that a stream of Search or Blend belongs to.
#ifndef TIMBRE_SERVER_SERVICE_VOICE_PIN_H_
#define TIMBRE_SERVER_SERVICE_VOICE_PIN_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/catalog/lease.h"

namespace timbre {

// INVALID_ARGUMENT unless `metadata` (the header timbre-speaker) is empty or
// names `speaker`.
absl::Status CheckSpeakerMetadata(absl::string_view metadata,
                                  const std::string& speaker);

// The first request names the speaker and pins the version; later ones leave
// both out or repeat them. Not thread-safe.
class VoicePin {
 public:
  // Checks what the next request says. OK means: as before, or, on the first,
  // that speaker() and wanted_version() are now what it named.
  absl::Status Accept(absl::string_view metadata, const std::string& speaker,
                      uint64_t version);
  void Pin(Lease lease) { lease_ = std::move(lease); }

  bool pinned() const { return lease_ != nullptr; }
  const LoadedVersion& version() const { return *lease_; }
  const std::string& speaker() const { return speaker_; }
  uint64_t wanted_version() const { return wanted_; }

 private:
  std::string speaker_;
  uint64_t wanted_ = 0;
  Lease lease_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_VOICE_PIN_H_
