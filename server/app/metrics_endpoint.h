// Where Prometheus scrapes.
#ifndef TIMBRE_SERVER_APP_METRICS_ENDPOINT_H_
#define TIMBRE_SERVER_APP_METRICS_ENDPOINT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace prometheus {
class Collectable;
class Exposer;
}  // namespace prometheus

namespace timbre {

// What civetweb, the HTTP server below, has to be told so that `address`
// means what it means to gRPC, in the order in which to try: "[::]:PORT" is
// every address of both families. Pure.
std::vector<std::string> ListenAlternatives(const std::string& address);

// Serves /metrics until it goes, which takes up to two seconds.
class MetricsEndpoint {
 public:
  // UNAVAILABLE if `address` (HOST:PORT) cannot be listened on.
  static absl::StatusOr<std::unique_ptr<MetricsEndpoint>> Listen(
      const std::string& address);
  ~MetricsEndpoint();

  void Add(const std::weak_ptr<prometheus::Collectable>& collectable);
  int port() const;

 private:
  explicit MetricsEndpoint(std::unique_ptr<prometheus::Exposer> exposer);

  const std::unique_ptr<prometheus::Exposer> exposer_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_APP_METRICS_ENDPOINT_H_
