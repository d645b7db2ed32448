#include "server/base/log_limiter.h"

#include <algorithm>
#include <utility>

namespace timbre {

std::optional<uint64_t> LogLimiter::Admit(absl::string_view event,
                                          absl::Time now) {
  const MutexLock lock(mutex_);
  auto it = buckets_.find(event);
  if (it == buckets_.end()) {
    it = buckets_
             .emplace(std::string(event),
                      Bucket{.tokens = burst_, .filled = now})
             .first;
  }
  Bucket& bucket = it->second;
  bucket.tokens = std::min(
      burst_,
      bucket.tokens + per_second_ * absl::ToDoubleSeconds(now - bucket.filled));
  bucket.filled = now;
  if (bucket.tokens < 1) {
    ++bucket.refused;
    ++refused_;
    return std::nullopt;
  }
  bucket.tokens -= 1;
  return std::exchange(bucket.refused, 0);
}

uint64_t LogLimiter::refused() {
  const MutexLock lock(mutex_);
  return refused_;
}

}  // namespace timbre
