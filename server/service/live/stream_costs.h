// What the frames of one stream take, learned from its messages.
#ifndef TIMBRE_SERVER_SERVICE_LIVE_STREAM_COSTS_H_
#define TIMBRE_SERVER_SERVICE_LIVE_STREAM_COSTS_H_

#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"
#include "server/base/element_type.h"
#include "server/service/live/latency_budget.h"
#include "server/service/live/voice_pin.h"

namespace timbre {

// Used by one task at a time.
class StreamCosts {
 public:
  // About how often a frame is searched for in `bytes` of frames, once for each
  // voice that is heard: what is in a message shows when it is parsed, which is
  // work too.
  uint64_t SearchesIn(size_t bytes, const VoicePin& pin) const;

  // Of one search, in the last message; infinite: unknown.
  absl::Duration search_time() const { return search_time_; }
  bool known() const { return search_time_ != absl::InfiniteDuration(); }
  // The parameters are others now.
  void Forget() { search_time_ = absl::InfiniteDuration(); }
  // A message of `rows` frames took one thread so long.
  void Learn(uint64_t rows, const VoicePin& pin, absl::Duration took);

  // What numbers came as in the last message.
  void SawElements(ElementType type) { element_bytes_ = BytesPerElement(type); }

  // What pieces of messages cost at which settings.
  FrameCost& of_pieces() { return of_pieces_; }

 private:
  FrameCost of_pieces_;
  size_t element_bytes_ = sizeof(float);
  absl::Duration search_time_ = absl::InfiniteDuration();
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_LIVE_STREAM_COSTS_H_
