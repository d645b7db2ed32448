#include "server/service/transport/acceptor.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include "server/base/log.h"
#include "server/base/monotonic_clock.h"
#include "server/base/status_macros.h"

namespace timbre {
namespace {

// Of descriptors and memory: goes away by itself, or somebody makes it.
constexpr absl::Duration kFirstBackOff = absl::Milliseconds(10);
constexpr absl::Duration kLongestBackOff = absl::Seconds(1);
// From one socket in a row, so that one look in between is not far.
constexpr int kInARow = 64;
// Descriptors that are left to others.
constexpr size_t kMinOthers = 64;
// Looking at all connections takes its time where there are so many.
constexpr absl::Duration kRoomPause = absl::Milliseconds(250);

// Says nothing about the socket that listens: the peer was faster, or its
// network has a fault.
bool ConcernsThePeer(int error) {
  switch (error) {
    case ECONNABORTED:
    case EINTR:
    case EPERM:  // a packet filter
    case EPROTO:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case ENOPROTOOPT:
      return true;
    default:
      return false;
  }
}

}  // namespace

Acceptor::Acceptor(const Options& options, ServerMetrics& metrics)
    : options_(options),
      metrics_(metrics),
      guard_(options.max_message_bytes, metrics) {}

Acceptor::~Acceptor() { Stop(); }

void Acceptor::Register(grpc::ServerBuilder& builder) {
  using Type = grpc::ServerBuilder::experimental_type::ExternalConnectionType;
  grpc_ = builder.experimental().AddExternalConnectionAcceptor(
      Type::FROM_FD, grpc::InsecureServerCredentials());
}

absl::Status Acceptor::Listen(const std::string& address) {
  TIMBRE_ASSIGN_OR_RETURN(auto sockets,
                          ListenOn(address, options_.user_timeout));
  if (port_ == 0) port_ = sockets.front().port();
  std::move(sockets.begin(), sockets.end(), std::back_inserter(sockets_));
  return absl::OkStatus();
}

absl::Status Acceptor::Watch(int fd) {
  epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0
             ? absl::OkStatus()
             : FileError(errno, "watch", "the sockets that listen");
}

absl::Status Acceptor::Start() {
  epoll_ = FileDescriptor(::epoll_create1(EPOLL_CLOEXEC));
  if (epoll_.valid()) {
    stop_ = FileDescriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  }
  if (!stop_.valid()) {
    return FileError(errno, "watch", "the sockets that listen");
  }
  TIMBRE_RETURN_IF_ERROR(Watch(stop_.get()));
  for (const ListeningSocket& socket : sockets_) {
    TIMBRE_RETURN_IF_ERROR(Watch(socket.fd()));
  }
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "accept");
    Run();
  });
  return absl::OkStatus();
}

void Acceptor::Stop() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    [[maybe_unused]] const auto written =
        ::write(stop_.get(), &one, sizeof(one));
    thread_.join();
  }
  sockets_.clear();
}

size_t Acceptor::MaxConnections() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const auto all = static_cast<size_t>(limit.rlim_cur);
  const size_t others = std::max(kMinOthers, all / 4);
  return all > others ? all - others : 1;
}

void Acceptor::Run() {
  std::array<epoll_event, 16> events;
  for (;;) {
    const int count = ::epoll_wait(epoll_.get(), events.data(),
                                   static_cast<int>(events.size()), PauseMs());
    for (int i = 0; i < count; ++i) {
      const int fd = events[static_cast<size_t>(i)].data.fd;
      if (fd == stop_.get()) return;
      AcceptFrom(fd);
    }
    const absl::Time now = MonotonicNow();
    if (now >= look_at_) {
      guard_.LookAround(now);
      look_at_ = now + guard_.Pause();
    }
    if (now >= accept_again_) {
      accept_again_ = absl::InfiniteFuture();
      Listening(true);
    }
  }
}

void Acceptor::AcceptFrom(int listening) {
  for (int i = 0; i < kInARow; ++i) {
    sockaddr_storage peer{};
    socklen_t length = sizeof(peer);
    const int fd = ::accept4(listening, reinterpret_cast<sockaddr*>(&peer),
                             &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EAGAIN) return;
      if (ConcernsThePeer(errno)) continue;
      return AcceptFailed(errno);
    }
    back_off_ = absl::ZeroDuration();
    if (!HasRoom(fd)) continue;
    // A peer that has gone again has no name any more, which gRPC would log as
    // an error.
    length = sizeof(peer);
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) != 0) {
      ::close(fd);
      continue;
    }
    const absl::Time now = MonotonicNow();
    guard_.Enter(fd, peer, now);
    look_at_ = std::min(look_at_, now + guard_.Pause());
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters
        connection;
    connection.listener_fd = listening;
    connection.fd = fd;
    grpc_->HandleNewConnection(&connection);
  }
}

bool Acceptor::HasRoom(int fd) {
  if (guard_.open() < options_.max_connections) return true;
  const absl::Time now = MonotonicNow();
  if (now >= make_room_again_) {
    make_room_again_ = now + kRoomPause;
    guard_.LookAround(now);  // some may have gone since the last time
    if (guard_.open() < options_.max_connections) return true;
    guard_.ShutSilent(now);
  }
  ::close(fd);
  metrics_.CountConnectionFault(ConnectionFault::kLimit);
  Log(LogLevel::kError, "connection_refused",
      {{"open", guard_.open()}, {"max_connections", options_.max_connections}});
  return false;
}

// The connection stays in the kernel's queue: its client waits.
void Acceptor::AcceptFailed(int error) {
  if (back_off_ == absl::ZeroDuration()) {
    Log(LogLevel::kError, "accept_failed",
        {{"error", std::string(std::strerror(error))},
         {"open", guard_.open()}});
  }
  metrics_.CountConnectionFault(ConnectionFault::kShortage);
  back_off_ = std::clamp(2 * back_off_, kFirstBackOff, kLongestBackOff);
  accept_again_ = MonotonicNow() + back_off_;
  Listening(false);
}

void Acceptor::Listening(bool on) {
  for (const ListeningSocket& socket : sockets_) {
    epoll_event event{.events = on ? uint32_t{EPOLLIN} : 0U,
                      .data = {.fd = socket.fd()}};
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, socket.fd(), &event);
  }
}

int Acceptor::PauseMs() const {
  const absl::Time next = std::min(look_at_, accept_again_);
  if (next == absl::InfiniteFuture()) return -1;
  const int64_t ms = absl::ToInt64Milliseconds(next - MonotonicNow() +
                                               absl::Microseconds(999));
  return static_cast<int>(std::clamp<int64_t>(ms, 0, 60'000));
}

}  // namespace timbre
