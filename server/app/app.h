// The server as a whole: construct, start, drain, in this order.
#ifndef TIMBRE_SERVER_APP_APP_H_
#define TIMBRE_SERVER_APP_APP_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/app/config.h"

namespace timbre {

class App {
 public:
  virtual ~App() = default;

  // Opens the data directory, binds the addresses and starts to answer.
  // FAILED_PRECONDITION if the directory is in use, UNAVAILABLE if an address
  // is, INVALID_ARGUMENT for a SIMD level that the CPU lacks.
  static absl::StatusOr<std::unique_ptr<App>> Start(const Config& config);

  // Health says NOT_SERVING, calls end between messages, builds go on; what is
  // left after --drain_timeout is cut off. Returns when everything has ended.
  virtual void Drain() = 0;

  virtual int grpc_port() const = 0;     // of the first TCP address, or 0
  virtual int metrics_port() const = 0;  // 0: none
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_APP_APP_H_
