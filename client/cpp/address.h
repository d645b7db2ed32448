// Where a server is: HOST:PORT, [IPV6]:PORT or unix:PATH. Pure functions,
// thread-safe.
#ifndef TIMBRE_CLIENT_CPP_ADDRESS_H_
#define TIMBRE_CLIENT_CPP_ADDRESS_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace timbre::client {

struct Address {
  std::string text;    // as it was given, and as gRPC takes it
  std::string host;    // without brackets; empty for unix:PATH
  bool local = false;  // loopback or a Unix socket: no proxy leads there
};

// INVALID_ARGUMENT where `text` can never become a connection: URLs, blanks,
// quotes, an empty host, ports other than 1..65535 (gRPC takes 99999 for
// 34463). Names are not looked up. gRPC's own forms (dns:///HOST:PORT,
// ipv4:IP:PORT,IP:PORT, unix-abstract:NAME) are taken from those who know them.
absl::StatusOr<Address> ParseAddress(absl::string_view text);

// The same without unix:PATH, for other things that have a port.
absl::StatusOr<Address> ParseHostPort(absl::string_view field,
                                      absl::string_view text);

// The HTTP proxy that gRPC 1.51 uses for `address`, without the credentials
// that may stand in it, and the variable that names it:
// "http://proxy:3128 (http_proxy)"; empty: none. `environment` is std::getenv.
std::string ProxyOf(const Address& address,
                    const std::function<const char*(const char*)>& environment);

}  // namespace timbre::client

#endif  // TIMBRE_CLIENT_CPP_ADDRESS_H_
