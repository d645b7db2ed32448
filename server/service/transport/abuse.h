// When a connection costs more than its calls explain.
#ifndef TIMBRE_SERVER_SERVICE_TRANSPORT_ABUSE_H_
#define TIMBRE_SERVER_SERVICE_TRANSPORT_ABUSE_H_

#include <cstdint>

#include "absl/time/time.h"
#include "server/service/transport/connections.h"

namespace timbre {

enum class Abuse : uint8_t { kNone, kBytes, kResets, kCpu };

// gRPC 1.51 takes whatever HTTP/2 allows: calls that are taken back at once,
// header blocks without an end, frames that say nothing. Each costs memory or
// CPU that no setting bounds. What they have in common: bytes that become no
// message of a call. Rather than to know every kind, this weighs the bytes that
// a connection brought against the calls and messages that came of them. Bytes
// that neither these nor time explain are abuse; less of them are enough where
// they keep the server from everything else.
//
// Pure arithmetic; one per connection; not thread-safe.
class AbuseMeter {
 public:
  struct Sample {
    uint64_t received = 0;  // bytes that gRPC has read since the beginning
    uint64_t sent = 0;
    ConnectionUse::Counts use;
  };

  // `message_bytes`: what may be received of one message. gRPC keeps one whole
  // before it or anybody else looks at its size.
  explicit AbuseMeter(uint64_t message_bytes) : message_bytes_(message_bytes) {}

  // What the connection did in the `elapsed` time since the last sample.
  // `stuck`: the CPU time that a thread has spent on reading without coming to
  // an event, as PollerBeats has it.
  [[nodiscard]] Abuse Judge(const Sample& now, absl::Duration elapsed,
                            absl::Duration stuck);

  double unexplained_bytes() const { return bytes_; }
  // Read while no thread came to an event: of those that are found to keep them
  // busy the one that brought most is to blame.
  double stuck_bytes() const { return stuck_bytes_; }

 private:
  bool KeepsThreadBusy(double received, absl::Duration stuck);

  const uint64_t message_bytes_;
  Sample last_;
  double bytes_ = 0;        // that nothing explains so far
  double resets_ = 0;       // calls cut short, less what time forgives
  double habit_ = 0;        // the same, forgiven more slowly
  double stuck_bytes_ = 0;  // read since the last event of any connection
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_TRANSPORT_ABUSE_H_
