#include "server/app/metrics_endpoint.h"

#include <prometheus/collectable.h>
#include <prometheus/exposer.h>

#include <exception>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/errors.h"

namespace timbre {

std::vector<std::string> ListenAlternatives(const std::string& address) {
  absl::string_view port = address;
  if (!absl::ConsumePrefix(&port, "[::]:")) return {address};
  const std::string ipv4 = absl::StrCat("0.0.0.0:", port);
  // Each address of a list would pick a port of its own.
  if (port == "0") return {ipv4};
  // Some civetwebs bind [::] for IPv6 alone, Debian 12's has no IPv6 at all.
  return {absl::StrCat(ipv4, ",", address), ipv4};
}

absl::StatusOr<std::unique_ptr<MetricsEndpoint>> MetricsEndpoint::Listen(
    const std::string& address) {
  std::string reason;
  for (const std::string& alternative : ListenAlternatives(address)) {
    try {  // prometheus-cpp throws where it cannot bind
      return absl::WrapUnique(new MetricsEndpoint(
          std::make_unique<prometheus::Exposer>(alternative)));
    } catch (const std::exception& error) {
      reason = error.what();
    }
  }
  return MakeError(
      absl::StatusCode::kUnavailable, "ADDRESS_IN_USE",
      absl::StrCat("--metrics_listen=", address, ": cannot listen: ", reason));
}

MetricsEndpoint::MetricsEndpoint(std::unique_ptr<prometheus::Exposer> exposer)
    : exposer_(std::move(exposer)) {}

MetricsEndpoint::~MetricsEndpoint() = default;

void MetricsEndpoint::Add(
    const std::weak_ptr<prometheus::Collectable>& collectable) {
  exposer_->RegisterCollectable(collectable);
}

int MetricsEndpoint::port() const {
  return exposer_->GetListeningPorts().front();
}

}  // namespace timbre
