#include "server/service/transport/connection_guard.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <malloc.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"

namespace timbre {
namespace {

// A look costs two microseconds for each connection: at most 1 % of a CPU.
constexpr absl::Duration kOftenest = absl::Milliseconds(50);
constexpr absl::Duration kPerConnection = absl::Microseconds(200);
constexpr absl::Duration kSeldomest = absl::Seconds(2);
// For a connection that was just opened to make its first call.
constexpr absl::Duration kFirstCall = absl::Seconds(1);
// After the last one was shut, gRPC frees what it held.
constexpr absl::Duration kFreeing = absl::Seconds(2);

// 0: no socket, or none any more.
uint64_t CookieOf(int fd) {
  uint64_t cookie = 0;
  socklen_t length = sizeof(cookie);
  const int failed = ::getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length);
  return failed == 0 ? cookie : 0;
}

// As ServerContext::peer has it, before Connections::KeyOf.
std::string PeerOf(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
    return absl::StrCat("ipv4:", text, ":", ntohs(v4.sin_port));
  }
  if (address.ss_family != AF_INET6) return "unix:";
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  const int port = ntohs(v6.sin6_port);
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
    ::inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], text, sizeof(text));
    return absl::StrCat("ipv4:", text, ":", port);
  }
  ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
  return absl::StrCat("ipv6:%5B", text, "%5D:", port);
}

// What gRPC has read of it so far, and written to it.
AbuseMeter::Sample SampleOf(int fd) {
  AbuseMeter::Sample sample;
  struct tcp_info info {};
  socklen_t length = sizeof(info);
  int unread = 0;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 &&
      ::ioctl(fd, SIOCINQ, &unread) == 0) {
    // More may have come between the two questions.
    const auto waiting = static_cast<uint64_t>(unread);
    sample.received = info.tcpi_bytes_received -
                      std::min<uint64_t>(info.tcpi_bytes_received, waiting);
    sample.sent = info.tcpi_bytes_acked;
  }
  return sample;
}

ConnectionFault FaultOf(Abuse abuse) {
  switch (abuse) {
    case Abuse::kResets:
      return ConnectionFault::kResets;
    case Abuse::kCpu:
      return ConnectionFault::kCpu;
    default:
      return ConnectionFault::kBytes;
  }
}

// At once, with what it sent and gRPC has not read yet, which may be megabytes.
void Abort(int fd) {
  const sockaddr nobody{.sa_family = AF_UNSPEC, .sa_data = {}};
  ::connect(fd, &nobody, sizeof(nobody));
}

}  // namespace

bool ConnectionGuard::Enter(int fd, const sockaddr_storage& peer,
                            absl::Time now) {
  const uint64_t cookie = CookieOf(fd);
  if (cookie == 0) return false;
  const std::string key = Connections::KeyOf(PeerOf(peer));
  // The last owner of the number has gone.
  if (const auto old = by_descriptor_.find(fd); old != by_descriptor_.end()) {
    Forget(old);
  }
  if (connections_.Has(key)) ForgetGone(key);
  if (by_descriptor_.empty()) last_look_ = now;
  by_descriptor_.emplace(fd,
                         Connection{.cookie = cookie,
                                    .key = key,
                                    .tcp = peer.ss_family != AF_UNIX,
                                    .since = now,
                                    .use = connections_.Add(key),
                                    .meter = AbuseMeter(max_message_bytes_)});
  CountOpen();
  return true;
}

void ConnectionGuard::ForgetGone(const std::string& key) {
  for (auto it = by_descriptor_.begin(); it != by_descriptor_.end();) {
    const bool gone = it->second.key == key && it->second.tcp &&
                      CookieOf(it->first) != it->second.cookie;
    it = gone ? Forget(it) : std::next(it);
  }
}

ConnectionGuard::Entry ConnectionGuard::Forget(Entry entry) {
  connections_.Remove(entry->second.key, entry->second.use.get());
  return by_descriptor_.erase(entry);
}

void ConnectionGuard::LookAround(absl::Time now) {
  const absl::Duration elapsed = now - std::exchange(last_look_, now);
  const absl::Duration stuck = beats_.Stuck();
  auto busiest = by_descriptor_.end();  // of those that keep a thread busy
  for (auto it = by_descriptor_.begin(); it != by_descriptor_.end();) {
    Connection& connection = it->second;
    if (CookieOf(it->first) != connection.cookie) {
      it = Forget(it);
      continue;
    }
    const Abuse abuse = LookAt(it->first, connection, elapsed, stuck);
    if (abuse == Abuse::kCpu && (busiest == by_descriptor_.end() ||
                                 connection.meter.stuck_bytes() >
                                     busiest->second.meter.stuck_bytes())) {
      busiest = it;
    }
    const bool shut = abuse == Abuse::kBytes || abuse == Abuse::kResets;
    it = shut ? ShutAndForget(it, abuse, now) : std::next(it);
  }
  if (busiest != by_descriptor_.end()) {
    ShutAndForget(busiest, Abuse::kCpu, now);
  }
  CountOpen();
  if (now > trim_at_) {
    trim_at_ = absl::InfiniteFuture();
    ::malloc_trim(0);
  }
}

ConnectionGuard::Entry ConnectionGuard::ShutAndForget(Entry entry, Abuse abuse,
                                                      absl::Time now) {
  Shut(entry->first, entry->second, FaultOf(abuse));
  trim_at_ = now + kFreeing;
  return Forget(entry);
}

// Who uses a socket of the file system is no stranger, and shares an entry
// with all of these; the kernel does not count what they send, either.
Abuse ConnectionGuard::LookAt(int fd, Connection& connection,
                              absl::Duration elapsed, absl::Duration stuck) {
  if (!connection.tcp || connection.use->shared()) return Abuse::kNone;
  // Before the sample: what comes in between is then unexplained for a moment
  // less, not more.
  AbuseMeter::Sample sample = SampleOf(fd);
  sample.use = connection.use->counts();
  return connection.meter.Judge(sample, elapsed, stuck);
}

void ConnectionGuard::Shut(int fd, const Connection& connection,
                           ConnectionFault why) {
  if (connection.tcp) {
    Abort(fd);
  } else {
    ::shutdown(fd, SHUT_RDWR);
  }
  metrics_.CountConnectionFault(why);
  const ConnectionUse::Counts use = connection.use->counts();
  Log(LogLevel::kWarning, "connection_shut",
      {{"reason", std::string(NameOf(why))},
       {"peer", connection.key},
       {"unexplained_bytes", connection.meter.unexplained_bytes()},
       {"calls", use.calls_begun},
       {"calls_cut_short", use.calls_cut_short}});
}

void ConnectionGuard::ShutSilent(absl::Time now) {
  for (auto it = by_descriptor_.begin(); it != by_descriptor_.end();) {
    const Connection& connection = it->second;
    if (connection.tcp && now - connection.since > kFirstCall &&
        connection.use->counts().calls_begun == 0 &&
        CookieOf(it->first) == connection.cookie) {
      Shut(it->first, connection, ConnectionFault::kSilence);
      it = Forget(it);
    } else {
      ++it;
    }
  }
  CountOpen();
}

absl::Duration ConnectionGuard::Pause() const {
  if (by_descriptor_.empty() && trim_at_ == absl::InfiniteFuture()) {
    return absl::InfiniteDuration();
  }
  return std::clamp(kPerConnection * static_cast<double>(by_descriptor_.size()),
                    kOftenest, kSeldomest);
}

}  // namespace timbre
