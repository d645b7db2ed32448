#include "server/service/probes/health.h"

namespace timbre {

void Health::Set(const std::string& service, ServingStatus status) {
  const MutexLock lock(mutex_);
  services_[service] = status;
  for (Watcher* const watcher : watchers_) {
    if (watcher->service() == service) watcher->Tell(status);
  }
}

void Health::SetAll(ServingStatus status) {
  const MutexLock lock(mutex_);
  for (auto& [service, current] : services_) current = status;
  for (Watcher* const watcher : watchers_) {
    watcher->Tell(Find(watcher->service()));
  }
}

ServingStatus Health::Of(const std::string& service) const {
  const MutexLock lock(mutex_);
  return Find(service);
}

void Health::Watch(Watcher& watcher) {
  const MutexLock lock(mutex_);
  watchers_.insert(&watcher);
  watcher.Tell(Find(watcher.service()));
}

void Health::Leave(Watcher& watcher) {
  const MutexLock lock(mutex_);
  watchers_.erase(&watcher);
}

ServingStatus Health::Find(const std::string& service) const {
  const auto it = services_.find(service);
  return it == services_.end()
             ? grpc::health::v1::HealthCheckResponse::SERVICE_UNKNOWN
             : it->second;
}

}  // namespace timbre
