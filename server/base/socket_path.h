// The claim on a path by a Unix socket that listens there.
#ifndef TIMBRE_SERVER_BASE_SOCKET_PATH_H_
#define TIMBRE_SERVER_BASE_SOCKET_PATH_H_

#include <sys/types.h>

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "server/base/file_system.h"

namespace timbre {

// A name is no lock: any process may unlink a socket's path and bind another
// one. So whoever claims or removes a path holds a lock of its directory (which
// leaves no file behind), and looks first at what is there. Not thread-safe.
class SocketPath {
 public:
  // Binds and listens; a socket at `path` that nobody listens on is replaced.
  // INVALID_ARGUMENT: longer than a socket's address holds. UNAVAILABLE,
  // ADDRESS_IN_USE: somebody listens there. FAILED_PRECONDITION, CANNOT_LISTEN:
  // what is there is no socket, and stays; or whatever else the system says.
  static absl::StatusOr<std::pair<FileDescriptor, SocketPath>> Listen(
      const std::string& path);

  SocketPath() = default;  // names nothing
  // Removes the path where it still is the socket that was bound. That socket
  // must be open until then: its inode's number is not used again before.
  ~SocketPath();
  SocketPath(SocketPath&& other) noexcept { *this = std::move(other); }
  SocketPath& operator=(SocketPath&& other) noexcept;

 private:
  std::string path_;  // empty: names nothing
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_SOCKET_PATH_H_
