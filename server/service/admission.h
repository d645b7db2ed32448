// How much work may wait in the server.
#ifndef TIMBRE_SERVER_SERVICE_ADMISSION_H_
#define TIMBRE_SERVER_SERVICE_ADMISSION_H_

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
    Ticket(Admission* admission, uint64_t frames, uint64_t bytes)
        : admission_(admission), frames_(frames), bytes_(bytes) {}
    Ticket(Ticket&& other) noexcept
        : admission_(std::exchange(other.admission_, nullptr)),
          frames_(other.frames_),
          bytes_(other.bytes_) {}
    Ticket& operator=(Ticket&& other) noexcept {
      std::swap(admission_, other.admission_);
      std::swap(frames_, other.frames_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Ticket() {
      if (admission_ != nullptr) admission_->Leave(frames_, bytes_);
    }

   private:
    Admission* admission_ = nullptr;
    uint64_t frames_ = 0;
    uint64_t bytes_ = 0;
  };

  explicit Admission(const AdmissionLimits& limits) : limits_(limits) {}

  // RESOURCE_EXHAUSTED with a retry hint where there is too much already.
  absl::StatusOr<Ticket> Enter(uint64_t frames, uint64_t bytes);

  // When a message entered last.
  absl::Time last() const {
    return absl::FromUnixNanos(last_ns_.load(std::memory_order_relaxed));
  }

  uint64_t frames() const { return frames_.load(std::memory_order_relaxed); }
  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  void Leave(uint64_t frames, uint64_t bytes);

  const AdmissionLimits limits_;
  std::atomic<uint64_t> frames_{0};
  std::atomic<uint64_t> bytes_{0};
  std::atomic<int64_t> last_ns_{0};
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_ADMISSION_H_
