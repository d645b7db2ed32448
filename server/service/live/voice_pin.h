// The voice that a stream of Search or Blend belongs to, or the voices that it
// mixes.
#ifndef TIMBRE_SERVER_SERVICE_LIVE_VOICE_PIN_H_
#define TIMBRE_SERVER_SERVICE_LIVE_VOICE_PIN_H_

#include <google/protobuf/repeated_ptr_field.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/catalog/open/lease.h"
#include "server/catalog/open/warm_up.h"
#include "timbre/v1/retrieval.pb.h"

namespace timbre {

inline constexpr int kMaxVoices = 16;  // mixed into one

// The first request names the voice, or the voices to mix, and pins the
// versions; later ones leave them out or repeat them. Not thread-safe.
class VoicePin {
 public:
  using Voices = google::protobuf::RepeatedPtrField<v1::VoiceWeight>;

  // Checks what the next request says. OK means: as before, or, on the first,
  // that wanted() is now what it named.
  absl::Status Accept(absl::string_view metadata, const std::string& speaker,
                      uint64_t version);
  // The same of a request with `voices`; weights() are theirs from then on.
  absl::Status AcceptVoices(absl::string_view metadata, const Voices& voices);
  // `leases` of wanted(), in its order, whose versions these are from then on.
  // INVALID_ARGUMENT, and nothing pinned, where their dimensions differ.
  absl::Status Pin(std::vector<Lease> leases);
  // Holds none, until the same versions are pinned again.
  void Release() { leases_.clear(); }

  // Whether it was ever pinned.
  bool resolved() const { return resolved_; }
  bool pinned() const { return !leases_.empty(); }
  // The voice; of mixed ones the first.
  const LoadedVersion& version() const { return *leases_.front(); }
  const std::vector<VoiceName>& wanted() const { return wanted_; }
  const std::vector<Lease>& leases() const { return leases_; }
  // Whether no search of theirs waits for a disk (see warm_up.h).
  bool warm() const {
    return std::all_of(leases_.begin(), leases_.end(),
                       [](const Lease& lease) { return IsWarm(*lease); });
  }
  bool mixed() const { return !weights_.empty(); }
  // Of sum 1; empty: one voice that is not mixed.
  const std::vector<float>& weights() const { return weights_; }

 private:
  absl::Status CheckSame(size_t i, const std::string& prefix,
                         const std::string& speaker, uint64_t version) const;

  std::vector<VoiceName> wanted_;
  bool resolved_ = false;  // wanted_ has the versions of the stream
  std::vector<Lease> leases_;
  std::vector<float> weights_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_LIVE_VOICE_PIN_H_
