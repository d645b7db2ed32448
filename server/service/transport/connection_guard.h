// The connections that gRPC has: how many, and which of them abuse it.
#ifndef TIMBRE_SERVER_SERVICE_TRANSPORT_CONNECTION_GUARD_H_
#define TIMBRE_SERVER_SERVICE_TRANSPORT_CONNECTION_GUARD_H_

#include <sys/socket.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "absl/time/time.h"
#include "server/metrics/server_metrics.h"
#include "server/service/transport/abuse.h"
#include "server/service/transport/connections.h"
#include "server/service/transport/poller_beats.h"

namespace timbre {

// Knows connections by their descriptors, which are gRPC's: it closes them, and
// says so to nobody. So the guard asks the kernel, socket by socket, whether
// one is still there and what it received. Not thread-safe but for open(),
// connections() and beats(): all else is called by the thread that accepts. No
// other thread opens connections, so that a descriptor cannot come to mean
// another one between a look and what follows from it.
class ConnectionGuard {
 public:
  // `max_message_bytes`: of the largest message that gRPC receives.
  ConnectionGuard(uint64_t max_message_bytes, ServerMetrics& metrics)
      : max_message_bytes_(max_message_bytes), metrics_(metrics) {}

  // A connection that gRPC is about to get. False: it has gone already.
  bool Enter(int fd, const sockaddr_storage& peer, absl::Time now);
  // Forgets those that have gone, shuts those that abuse the server.
  void LookAround(absl::Time now);
  // Shuts those that have had time for a call and made none. Where there is no
  // room left they go first: clients that pool connections open a new one.
  void ShutSilent(absl::Time now);
  // How long until LookAround is due; infinite: nothing is open.
  absl::Duration Pause() const;

  size_t open() const { return open_.load(std::memory_order_relaxed); }
  Connections& connections() { return connections_; }
  PollerBeats& beats() { return beats_; }

 private:
  struct Connection {
    uint64_t cookie = 0;  // the kernel's name for the socket, never used twice
    std::string key;      // in connections_
    bool tcp = false;
    absl::Time since;
    std::shared_ptr<ConnectionUse> use;
    AbuseMeter meter;
  };

  using Entry = std::unordered_map<int, Connection>::iterator;

  Entry Forget(Entry entry);  // the next one
  Entry ShutAndForget(Entry entry, Abuse abuse, absl::Time now);
  // Those with that key whose sockets have gone.
  void ForgetGone(const std::string& key);
  // What it is found guilty of.
  Abuse LookAt(int fd, Connection& connection, absl::Duration elapsed,
               absl::Duration stuck);
  void Shut(int fd, const Connection& connection, ConnectionFault why);
  void CountOpen() {
    open_.store(by_descriptor_.size(), std::memory_order_relaxed);
  }

  const uint64_t max_message_bytes_;
  ServerMetrics& metrics_;
  Connections connections_;
  PollerBeats beats_;
  std::atomic<size_t> open_{0};
  std::unordered_map<int, Connection> by_descriptor_;
  absl::Time last_look_ = absl::InfinitePast();
  absl::Time trim_at_ = absl::InfiniteFuture();
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_TRANSPORT_CONNECTION_GUARD_H_
