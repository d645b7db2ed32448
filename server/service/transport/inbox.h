// The messages of a stream that came before their turn.
#ifndef TIMBRE_SERVER_SERVICE_TRANSPORT_INBOX_H_
#define TIMBRE_SERVER_SERVICE_TRANSPORT_INBOX_H_

#include <grpcpp/support/byte_buffer.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>

#include "absl/base/thread_annotations.h"
#include "server/base/mutex.h"

namespace timbre {

// What all inboxes keep together. Thread-safe.
struct ReadAhead {
  size_t max_bytes = SIZE_MAX;
  std::atomic<size_t> bytes{0};
};

// A stream answers its messages one by one, but it may not wait with reading
// until an answer has been taken: behind a proxy that has one buffer for all
// streams of a connection (HAProxy), what is not read holds up everything that
// comes after it, the client's window updates among them, without which no
// answer is taken. So messages are read on and kept, up to a bound: a client
// that sends without end and takes no answer is not read from for ever.
// Thread-safe.
class Inbox {
 public:
  // Reads on while it holds less than `max_bytes`; while all together hold as
  // much as `total` allows, only if it holds nothing. A read is under way from
  // the beginning.
  Inbox(size_t max_bytes, ReadAhead& total)
      : max_bytes_(max_bytes), total_(total) {}
  ~Inbox() { total_.bytes.fetch_sub(kept_bytes_); }
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  // Whether a read is to be started; it then is under way.
  [[nodiscard]] bool StartReading();
  // The read has brought a message. True: its turn is now; otherwise it is
  // kept.
  [[nodiscard]] bool Came(const grpc::ByteBuffer& message);
  // The read has brought the end. True: nothing is left to be answered;
  // otherwise Answered will tell.
  [[nodiscard]] bool Ended();

  enum class Next { kNothing, kMessage, kEnd };
  // The message whose turn it was has been answered. What its turn is now:
  // `message` is set for kMessage.
  [[nodiscard]] Next Answered(grpc::ByteBuffer& message);

 private:
  const size_t max_bytes_;
  ReadAhead& total_;
  Mutex mutex_;
  std::deque<grpc::ByteBuffer> kept_ ABSL_GUARDED_BY(mutex_);
  size_t kept_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool reading_ ABSL_GUARDED_BY(mutex_) = true;
  bool in_turn_ ABSL_GUARDED_BY(mutex_) = false;  // a message is
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_TRANSPORT_INBOX_H_
