// Sockets that listen: at TCP addresses, and at paths.
#ifndef TIMBRE_SERVER_BASE_LISTENING_SOCKET_H_
#define TIMBRE_SERVER_BASE_LISTENING_SOCKET_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/file_system.h"
#include "server/base/socket_path.h"

namespace timbre {

// Owns a descriptor that listens, non-blocking, and the path of a Unix socket.
class ListeningSocket {
 public:
  // What port it has; 0: a Unix socket.
  ListeningSocket(FileDescriptor fd, int port) noexcept
      : fd_(std::move(fd)), port_(port) {}
  ListeningSocket(FileDescriptor fd, SocketPath path) noexcept
      : fd_(std::move(fd)), path_(std::move(path)) {}

  int fd() const { return fd_.get(); }
  int port() const { return port_; }

 private:
  FileDescriptor fd_;
  int port_ = 0;
  SocketPath path_;  // goes before the descriptor, as SocketPath wants it
};

// Listens on `address`:
//
//   HOST:PORT, [IPV6]:PORT  on every address that the host's name has here; on
//     all of IPv4 and IPv6 for 0.0.0.0 and [::]. Port 0 picks a free one.
//     SO_REUSEPORT stays off: two servers never share a port.
//   unix:PATH, unix:///PATH  as SocketPath does.
//
// Accepted connections inherit TCP_NODELAY and `user_timeout` (how long what
// was sent may stay unacknowledged). At least one socket is returned, all of
// the same port.
//
// INVALID_ARGUMENT: no such address. UNAVAILABLE, ADDRESS_IN_USE: somebody
// listens there. FAILED_PRECONDITION, CANNOT_LISTEN: what else the system says.
absl::StatusOr<std::vector<ListeningSocket>> ListenOn(
    const std::string& address, absl::Duration user_timeout);

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_LISTENING_SOCKET_H_
