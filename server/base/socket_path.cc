#include "server/base/socket_path.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/base/errors.h"
#include "server/base/monotonic_clock.h"
#include "server/base/status_macros.h"

namespace timbre {
namespace {

constexpr size_t kLongestPath = sizeof(sockaddr_un::sun_path) - 1;

// Others hold it as long as it takes to bind a socket.
constexpr absl::Duration kLockPatience = absl::Seconds(2);
constexpr absl::Duration kLockPause = absl::Milliseconds(5);

absl::Status CannotListen(const std::string& path, absl::string_view why) {
  return MakeError(absl::StatusCode::kFailedPrecondition, "CANNOT_LISTEN",
                   absl::StrCat("unix:", path, ": cannot listen: ", why));
}

// Of the directory that `path` is in, until the descriptor is closed.
absl::StatusOr<FileDescriptor> LockDirectory(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path();
  const std::string directory = parent.empty() ? std::string(1, '.') : parent;
  FileDescriptor fd(
      ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return CannotListen(path, std::strerror(errno));
  const absl::Time end = MonotonicNow() + kLockPatience;
  while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return CannotListen(path, std::strerror(errno));
    }
    if (MonotonicNow() > end) {
      return CannotListen(path, absl::StrCat("another process has held a lock "
                                             "of ",
                                             directory, " for long"));
    }
    absl::SleepFor(kLockPause);
  }
  return fd;
}

sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

FileDescriptor NewSocket() {
  return FileDescriptor(
      ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

// Whether the socket at `path` answers is what tells a server's from one that
// a crash left behind.
absl::Status RemoveIfStale(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    return errno == ENOENT ? absl::OkStatus()
                           : CannotListen(path, std::strerror(errno));
  }
  if (!S_ISSOCK(status.st_mode)) {
    return CannotListen(path, "what is there is no socket; it is left alone");
  }
  const FileDescriptor probe = NewSocket();
  if (!probe.valid()) return CannotListen(path, std::strerror(errno));
  const sockaddr_un address = AddressOf(path);
  const bool connected =
      ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address),
                sizeof(address)) == 0;
  if (connected || errno == EAGAIN) {  // EAGAIN: its backlog is full
    return MakeError(
        absl::StatusCode::kUnavailable, "ADDRESS_IN_USE",
        absl::StrCat("unix:", path,
                     ": cannot listen: another process listens there"));
  }
  if (errno != ECONNREFUSED) return CannotListen(path, std::strerror(errno));
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return CannotListen(path, std::strerror(errno));
}

}  // namespace

absl::StatusOr<std::pair<FileDescriptor, SocketPath>> SocketPath::Listen(
    const std::string& path) {
  if (path.empty() || path.size() > kLongestPath) {
    return InvalidField(
        "unix:PATH", path,
        absl::StrCat("a path of 1 to ", kLongestPath,
                     " bytes, which is all "
                     "that a socket's address holds; this one has ",
                     path.size()));
  }
  TIMBRE_ASSIGN_OR_RETURN(const FileDescriptor lock, LockDirectory(path));
  TIMBRE_RETURN_IF_ERROR(RemoveIfStale(path));
  FileDescriptor fd = NewSocket();
  const sockaddr_un address = AddressOf(path);
  if (!fd.valid() ||
      ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address),
             sizeof(address)) != 0) {
    return CannotListen(path, std::strerror(errno));
  }
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    return CannotListen(path, std::strerror(errno));
  }
  SocketPath bound;
  bound.path_ = path;
  bound.device_ = status.st_dev;
  bound.inode_ = status.st_ino;
  if (::listen(fd.get(), SOMAXCONN) != 0) {
    return CannotListen(path, std::strerror(errno));
  }
  return std::pair(std::move(fd), std::move(bound));
}

SocketPath::~SocketPath() {
  if (path_.empty()) return;
  // Without the lock, somebody could replace it between the look and the
  // removal: then it rather stays, for the next server to find stale.
  const auto lock = LockDirectory(path_);
  struct stat status {};
  if (lock.ok() && ::lstat(path_.c_str(), &status) == 0 &&
      status.st_dev == device_ && status.st_ino == inode_) {
    ::unlink(path_.c_str());
  }
}

SocketPath& SocketPath::operator=(SocketPath&& other) noexcept {
  path_.swap(other.path_);
  std::swap(device_, other.device_);
  std::swap(inode_, other.inode_);
  return *this;
}

}  // namespace timbre
