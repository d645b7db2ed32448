// How long a thread that polls gRPC looks for the next event before it sleeps.
#ifndef TIMBRE_SERVER_SERVICE_TRANSPORT_IDLE_POLL_H_
#define TIMBRE_SERVER_SERVICE_TRANSPORT_IDLE_POLL_H_

#include "absl/time/time.h"

namespace timbre {

// On virtual machines an idle CPU sleeps in the host, and waking it takes tens
// of microseconds: a sixth of the round trip of 16 frames. Kernels look around
// for a while first (Linux's haltpoll, 200 us), where their host lets them.
// This does the same for the one case in which it is sure to pay: a single call
// whose next message always comes within `longest` of its last answer. Streams
// of live conversion, which pause, and several callers that take turns never
// cost a look; a caller that is busy while the others pause may earn one. Not
// thread-safe.
class IdlePoll {
 public:
  // Zero: never looks.
  explicit IdlePoll(absl::Duration longest) : longest_(longest) {}

  // An event came, and the thread had waited so long for it. A call's messages
  // and its answers have a tag each, so that those of a call that is alone take
  // turns.
  void Saw(const void* tag, absl::Duration waited);
  // For how long to look for the next event.
  absl::Duration patience() const;

 private:
  const absl::Duration longest_;
  const void* last_ = nullptr;         // the tag of the last event
  const void* before_last_ = nullptr;  // and of the one before
  int in_a_row_ = 0;                   // events as expected
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_TRANSPORT_IDLE_POLL_H_
