#ifndef TIMBRE_SERVER_BASE_MONOTONIC_CLOCK_H_
#define TIMBRE_SERVER_BASE_MONOTONIC_CLOCK_H_

#include <chrono>

#include "absl/time/time.h"

namespace timbre {

// Time since a moment of no meaning, for intervals and deadlines inside this
// process: unlike absl::Now it does not step when somebody sets the clock.
inline absl::Time MonotonicNow() {
  return absl::UnixEpoch() +
         absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_MONOTONIC_CLOCK_H_
