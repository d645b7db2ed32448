// How much work may wait in the server.
#ifndef TIMBRE_SERVER_SERVICE_RPC_ADMISSION_H_
#define TIMBRE_SERVER_SERVICE_RPC_ADMISSION_H_

#include <atomic>
#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace timbre {

struct AdmissionLimits {
  uint64_t frames = 0;  // 0: unlimited
  uint64_t bytes = 0;   // 0: unlimited
  // What small messages may take one worker, added up: n workers answer what
  // waits in an n-th of it.
  absl::Duration work = absl::InfiniteDuration();
};

// What a message asks for.
struct AdmissionLoad {
  uint64_t frames = 0;
  uint64_t bytes = 0;
  absl::Duration work;  // of one worker, about; 0 for large messages
};

// Counts the messages of Search and Blend that are being answered or wait for
// it, and refuses the newest one at once where it would exceed a limit: what is
// accepted is then answered soon. A message that is larger than a limit by
// itself is accepted while nothing else waits. Thread-safe, without locks.
class Admission {
 public:
  // What a message takes until it is answered. Gives it back when it goes.
  class Ticket {
   public:
    Ticket() = default;
    Ticket(Admission* admission, const AdmissionLoad& load)
        : admission_(admission), load_(load) {}
    Ticket(Ticket&& other) noexcept
        : admission_(std::exchange(other.admission_, nullptr)),
          load_(other.load_) {}
    Ticket& operator=(Ticket&& other) noexcept {
      std::swap(admission_, other.admission_);
      std::swap(load_, other.load_);
      return *this;
    }
    ~Ticket() {
      if (admission_ != nullptr) admission_->Leave(load_);
    }

   private:
    Admission* admission_ = nullptr;
    AdmissionLoad load_;
  };

  explicit Admission(const AdmissionLimits& limits) : limits_(limits) {}

  // RESOURCE_EXHAUSTED with a retry hint where there is too much already.
  absl::StatusOr<Ticket> Enter(AdmissionLoad load);

  // A frame took so long: what is assumed of streams that are new.
  void Learn(absl::Duration frame_time);
  absl::Duration usual_frame_time() const {
    return absl::Nanoseconds(frame_time_ns_.load(std::memory_order_relaxed));
  }

  // When a message entered last, by MonotonicNow.
  absl::Time last() const {
    return absl::FromUnixNanos(last_ns_.load(std::memory_order_relaxed));
  }

  uint64_t frames() const { return frames_.load(std::memory_order_relaxed); }
  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  void Leave(const AdmissionLoad& load);

  const AdmissionLimits limits_;
  std::atomic<uint64_t> frames_{0};
  std::atomic<uint64_t> bytes_{0};
  std::atomic<int64_t> work_ns_{0};
  std::atomic<int64_t> frame_time_ns_{10'000};
  std::atomic<int64_t> last_ns_{0};
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_RPC_ADMISSION_H_
