// A stream that answers message by message, and ends between two of them.
#ifndef TIMBRE_SERVER_SERVICE_TRANSPORT_TURNS_H_
#define TIMBRE_SERVER_SERVICE_TRANSPORT_TURNS_H_

#include <mutex>
#include <utility>

namespace timbre {

// What is to become of the stream as the server drains: a client that has its
// last answer is given the time from one Drain to the next to say that this was
// all, so that a call that is complete ends well. Thread-safe.
class Turns {
 public:
  // A message has come. Whether it is to be answered: not as the server drains.
  [[nodiscard]] bool Begin() {
    const std::lock_guard<std::mutex> lock(mutex_);
    in_work_ = !draining_;
    return in_work_;
  }
  // Its answer was taken; the stream is to be read on.
  void End() {
    const std::lock_guard<std::mutex> lock(mutex_);
    in_work_ = false;
    just_answered_ = true;
  }
  // The server drains: comes again and again. Whether the stream is to end now:
  // no message is in work, and none was answered since this came last.
  [[nodiscard]] bool Drain() {
    const std::lock_guard<std::mutex> lock(mutex_);
    draining_ = true;
    return !in_work_ && !std::exchange(just_answered_, false);
  }

 private:
  std::mutex mutex_;
  bool in_work_ = false;        // guarded by mutex_, like what follows
  bool just_answered_ = false;  // since the last Drain
  bool draining_ = false;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_TRANSPORT_TURNS_H_
