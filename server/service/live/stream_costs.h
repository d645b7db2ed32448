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
  // Roughly how many searches a message of `bytes` asks for: each frame once
  // for every voice with a weight above 0. An estimate, since only parsing
  // would tell, which is work itself.
  uint64_t SearchesIn(size_t bytes, const VoicePin& pin) const;

  // Of one search, in the last message; infinite: unknown.
  absl::Duration search_time() const { return search_time_; }
  bool known() const { return search_time_ != absl::InfiniteDuration(); }
  // The parameters are others now.
  void Forget() { search_time_ = absl::InfiniteDuration(); }
  // A message of `rows` frames took one thread so long.
  void Learn(uint64_t rows, const VoicePin& pin, absl::Duration took);

  // The numbers of the last message were of this type.
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
