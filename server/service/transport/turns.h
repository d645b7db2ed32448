// A stream that answers message by message, and ends between two of them.
#ifndef TIMBRE_SERVER_SERVICE_TRANSPORT_TURNS_H_
#define TIMBRE_SERVER_SERVICE_TRANSPORT_TURNS_H_

#include <mutex>

namespace timbre {

// Thread-safe.
class Turns {
 public:
  // A message has come: it will be answered.
  void Begin() {
    const std::lock_guard<std::mutex> lock(mutex_);
    in_work_ = true;
  }
  // Its answer was taken. Whether the stream is to end now, as the server
  // drains, instead of reading on.
  [[nodiscard]] bool End() {
    const std::lock_guard<std::mutex> lock(mutex_);
    in_work_ = false;
    return draining_;
  }
  // The server drains. Whether the stream is to end now: no message is in work.
  [[nodiscard]] bool Drain() {
    const std::lock_guard<std::mutex> lock(mutex_);
    draining_ = true;
    return !in_work_;
  }

 private:
  std::mutex mutex_;
  bool in_work_ = false;   // guarded by mutex_
  bool draining_ = false;  // guarded by mutex_
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_TRANSPORT_TURNS_H_
