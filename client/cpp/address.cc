#include "client/cpp/address.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/base/errors.h"

namespace timbre::client {
namespace {

// Behind it stands a zero.
constexpr size_t kMaxUnixPath = sizeof(sockaddr_un::sun_path) - 1;

bool IsHostCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' ||
         c == '-' || c == '_';
}

bool IsIpv6(const std::string& text) {
  in6_addr address{};
  // A zone ("fe80::1%eth0") is no part of what inet_pton reads.
  return inet_pton(AF_INET6, text.substr(0, text.find('%')).c_str(),
                   &address) == 1;
}

bool IsPort(absl::string_view text) {
  uint32_t port = 0;
  return !text.empty() && text.size() <= 5 &&
         std::all_of(text.begin(), text.end(), absl::ascii_isdigit) &&
         absl::SimpleAtoi(text, &port) && port > 0 && port <= 65535;
}

// Splits HOST:PORT or [IPV6]:PORT; false if it is neither.
bool Split(absl::string_view text, Address& address) {
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos || !IsPort(text.substr(colon + 1))) {
    return false;
  }
  absl::string_view host = text.substr(0, colon);
  if (absl::ConsumePrefix(&host, "[")) {
    if (!absl::ConsumeSuffix(&host, "]")) return false;
    address.host = std::string(host);
    return IsIpv6(address.host);
  }
  address.host = std::string(host);
  return !host.empty() &&
         std::all_of(host.begin(), host.end(), IsHostCharacter);
}

bool IsLoopback(const std::string& host) {
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    return (ntohl(v4.s_addr) >> 24) == 127;
  }
  in6_addr v6{};
  if (inet_pton(AF_INET6, host.c_str(), &v6) == 1) {
    return IN6_IS_ADDR_LOOPBACK(&v6) ||
           (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
  }
  return absl::EqualsIgnoreCase(host, "localhost") ||
         absl::EqualsIgnoreCase(host, "localhost.");
}

// What is behind gRPC's own dns:[//AUTHORITY/], ipv4: and ipv6:.
absl::string_view WithoutScheme(absl::string_view text) {
  if (absl::ConsumePrefix(&text, "dns:")) {
    if (absl::ConsumePrefix(&text, "//")) {
      const size_t slash = text.find('/');
      return slash == absl::string_view::npos ? "" : text.substr(slash + 1);
    }
    return text;
  }
  if (!absl::ConsumePrefix(&text, "ipv4:")) absl::ConsumePrefix(&text, "ipv6:");
  return text;
}

bool SplitOne(absl::string_view text, Address& address) {
  if (!Split(text, address)) return false;
  address.local = IsLoopback(address.host);
  return true;
}

// Several with commas between them; the host is that of the first.
bool SplitAll(absl::string_view text, Address& address) {
  address.local = true;
  std::string first;
  for (const absl::string_view each : absl::StrSplit(text, ',')) {
    if (!Split(each, address)) return false;
    if (first.empty()) first = address.host;
    address.local = address.local && IsLoopback(address.host);
  }
  address.host = first;
  return true;
}

std::string Quoted(absl::string_view text) {
  return absl::StrCat("\"", text, "\"");
}

// Whether a list such as no_proxy names the host or a domain that it is in.
bool Names(absl::string_view list, absl::string_view host) {
  for (const absl::string_view entry : absl::StrSplit(list, ',')) {
    if (!entry.empty() && absl::EndsWithIgnoreCase(host, entry)) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<Address> ParseHostPort(absl::string_view field,
                                      absl::string_view text) {
  Address address{.text = std::string(text)};
  if (!SplitOne(text, address)) {
    return InvalidField(field, Quoted(text), "HOST:PORT or [IPV6]:PORT");
  }
  return address;
}

absl::StatusOr<Address> ParseAddress(absl::string_view text) {
  Address address{.text = std::string(text)};
  absl::string_view rest = text;
  if (absl::ConsumePrefix(&rest, "unix:") ||
      absl::ConsumePrefix(&rest, "unix-abstract:")) {
    address.local = true;
    absl::ConsumePrefix(&rest, "//");
    if (rest.size() > kMaxUnixPath) {
      return InvalidField(
          "server", Quoted(text),
          absl::StrCat("a unix:PATH of at most ", kMaxUnixPath, " bytes"));
    }
    if (!rest.empty() &&
        std::none_of(rest.begin(), rest.end(), absl::ascii_iscntrl)) {
      return address;
    }
  } else if (const absl::string_view hosts = WithoutScheme(rest);
             hosts.size() < rest.size() ? SplitAll(hosts, address)
                                        : SplitOne(rest, address)) {
    return address;
  }
  return InvalidField("server", Quoted(text),
                      "HOST:PORT, [IPV6]:PORT or unix:PATH");
}

std::string ProxyOf(
    const Address& address,
    const std::function<const char*(const char*)>& environment) {
  if (address.local) return "";
  const char* name = nullptr;
  absl::string_view proxy;
  for (const char* const candidate :
       {"grpc_proxy", "https_proxy", "http_proxy"}) {
    if (const char* const value = environment(candidate)) {
      name = candidate;
      proxy = value;
      break;
    }
  }
  // Of others gRPC says in its log that it does not know them.
  if (!absl::ConsumePrefix(&proxy, "http://")) return "";
  const char* except = environment("no_grpc_proxy");
  if (except == nullptr) except = environment("no_proxy");
  if (except != nullptr && Names(except, address.host)) return "";
  proxy = proxy.substr(0, proxy.find('/'));
  const size_t credentials = proxy.rfind('@');
  if (credentials != absl::string_view::npos) {
    proxy = proxy.substr(credentials + 1);
  }
  if (proxy.empty()) return "";
  return absl::StrCat("http://", proxy, " (", name, ")");
}

}  // namespace timbre::client
