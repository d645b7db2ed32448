#include "server/base/listening_socket.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"

namespace timbre {
namespace {

struct HostPort {
  std::string host;
  int port = 0;
};

constexpr int kMaxPort = 65535;

std::optional<HostPort> Split(absl::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == absl::string_view::npos) return std::nullopt;
  absl::string_view host = address.substr(0, colon);
  if (absl::ConsumePrefix(&host, "[")) {
    if (!absl::ConsumeSuffix(&host, "]")) return std::nullopt;
  } else if (host.find(':') != absl::string_view::npos) {
    return std::nullopt;  // "::1:80" could be cut at two places
  }
  int port = 0;
  if (host.empty() || !absl::SimpleAtoi(address.substr(colon + 1), &port) ||
      port < 0 || port > kMaxPort) {
    return std::nullopt;
  }
  return HostPort{std::string(host), port};
}

absl::Status SystemError(const std::string& address, int error) {
  const std::string text =
      absl::StrCat(address, ": cannot listen: ", std::strerror(error));
  if (error != EADDRINUSE) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "CANNOT_LISTEN",
                     text);
  }
  return MakeError(absl::StatusCode::kUnavailable, "ADDRESS_IN_USE",
                   absl::StrCat(text, "; is another server there?"));
}

using Addresses = std::unique_ptr<addrinfo, void (*)(addrinfo*)>;

absl::StatusOr<Addresses> Resolve(const std::string& address,
                                  const HostPort& target) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(
      target.host.c_str(), absl::StrCat(target.port).c_str(), &hints, &found);
  if (error != 0) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "INVALID_FIELD",
        absl::StrCat(address, ": cannot listen: ", gai_strerror(error)));
  }
  return Addresses(found, &::freeaddrinfo);
}

int PortOf(const sockaddr_storage& address) {
  return ntohs(address.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                   : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

bool Set(int fd, int level, int option, int value) {
  return ::setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

// Listens on one address, at `port` where that is not 0. An errno, or 0.
int ListenAt(const addrinfo& at, int port, bool both_families,
             absl::Duration user_timeout, std::vector<ListeningSocket>& out) {
  sockaddr_storage address{};
  std::memcpy(&address, at.ai_addr, at.ai_addrlen);
  if (port != 0) {
    (at.ai_family == AF_INET6
         ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
         : reinterpret_cast<sockaddr_in&>(address).sin_port) =
        htons(static_cast<uint16_t>(port));
  }
  FileDescriptor fd(
      ::socket(at.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return errno;
  const auto timeout_ms =
      static_cast<int>(absl::ToInt64Milliseconds(user_timeout));
  socklen_t length = at.ai_addrlen;
  if (!Set(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1) ||
      (at.ai_family == AF_INET6 &&
       !Set(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, both_families ? 0 : 1)) ||
      !Set(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1) ||
      !Set(fd.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, timeout_ms) ||
      ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      ::listen(fd.get(), SOMAXCONN) != 0 ||
      ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length) !=
          0) {
    return errno;
  }
  out.emplace_back(std::move(fd), PortOf(address));
  return 0;
}

bool AnyAddress(const std::string& host) {
  return host == "::" || host == "0.0.0.0";
}

absl::StatusOr<std::vector<ListeningSocket>> ListenOnTcp(
    const std::string& address, HostPort target, absl::Duration user_timeout) {
  const bool any = AnyAddress(target.host);
  if (any) target.host = "::";
  auto addresses = Resolve(address, target);
  if (!addresses.ok()) return addresses.status();
  std::vector<ListeningSocket> sockets;
  int error = EADDRNOTAVAIL;
  const auto listen_on_all = [&] {
    for (const addrinfo* at = addresses->get(); at != nullptr;
         at = at->ai_next) {
      // The port that the first one picked is meant for all of them.
      const int port = sockets.empty() ? 0 : sockets.front().port();
      const int failed = ListenAt(*at, port, any, user_timeout, sockets);
      // A name may have addresses that this machine lacks: ::1 without IPv6.
      if (failed != 0 && error != EADDRINUSE) error = failed;
    }
  };
  listen_on_all();
  if (any && sockets.empty() && error != EADDRINUSE) {  // without IPv6
    target.host = "0.0.0.0";
    addresses = Resolve(address, target);
    if (!addresses.ok()) return addresses.status();
    listen_on_all();
  }
  if (error == EADDRINUSE || sockets.empty()) {
    return SystemError(address, error);
  }
  return sockets;
}

}  // namespace

absl::StatusOr<std::vector<ListeningSocket>> ListenOn(
    const std::string& address, absl::Duration user_timeout) {
  absl::string_view path = address;
  if (absl::ConsumePrefix(&path, "unix:")) {
    if (absl::StartsWith(path, "///")) path.remove_prefix(2);
    TIMBRE_ASSIGN_OR_RETURN(auto bound, SocketPath::Listen(std::string(path)));
    std::vector<ListeningSocket> sockets;
    sockets.emplace_back(std::move(bound.first), std::move(bound.second));
    return sockets;
  }
  const auto target = Split(address);
  if (!target) {
    return InvalidField("address", address,
                        "HOST:PORT, [IPV6]:PORT with a port of 0..65535, or "
                        "unix:PATH");
  }
  return ListenOnTcp(address, *target, user_timeout);
}

}  // namespace timbre
