// Which services answer, for grpc.health.v1.
#ifndef TIMBRE_SERVER_SERVICE_PROBES_HEALTH_H_
#define TIMBRE_SERVER_SERVICE_PROBES_HEALTH_H_

#include <map>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "grpc/health/v1/health.pb.h"
#include "server/base/mutex.h"

namespace timbre {

using ServingStatus = grpc::health::v1::HealthCheckResponse::ServingStatus;

// Thread-safe.
class Health {
 public:
  class Watcher {
   public:
    virtual ~Watcher() = default;
    virtual const std::string& service() const = 0;
    // Its service's status is this from now on. Must not block, nor call back.
    virtual void Tell(ServingStatus status) = 0;
  };

  // Makes `service` known; "" is the server as a whole.
  void Set(const std::string& service, ServingStatus status);
  // Of all that are known.
  void SetAll(ServingStatus status);
  // SERVICE_UNKNOWN where it is not known.
  ServingStatus Of(const std::string& service) const;

  // Tells `watcher` what is, and what changes until Leave. After Leave it is
  // told nothing.
  void Watch(Watcher& watcher);
  void Leave(Watcher& watcher);

 private:
  ServingStatus Find(const std::string& service) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  std::map<std::string, ServingStatus> services_ ABSL_GUARDED_BY(mutex_);
  std::set<Watcher*> watchers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_PROBES_HEALTH_H_
