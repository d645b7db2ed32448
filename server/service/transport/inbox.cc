#include "server/service/transport/inbox.h"

#include <utility>

namespace timbre {

bool Inbox::StartReading() {
  const MutexLock lock(mutex_);
  if (reading_ || ended_ || kept_bytes_ >= max_bytes_) return false;
  if (kept_bytes_ > 0 && total_.bytes.load() >= total_.max_bytes) return false;
  reading_ = true;
  return true;
}

bool Inbox::Came(const grpc::ByteBuffer& message) {
  const MutexLock lock(mutex_);
  reading_ = false;
  if (!std::exchange(in_turn_, true)) return true;
  kept_.push_back(message);
  kept_bytes_ += message.Length();
  total_.bytes.fetch_add(message.Length());
  return false;
}

bool Inbox::Ended() {
  const MutexLock lock(mutex_);
  reading_ = false;
  ended_ = true;
  return !in_turn_;
}

Inbox::Next Inbox::Answered(grpc::ByteBuffer& message) {
  const MutexLock lock(mutex_);
  if (kept_.empty()) {
    in_turn_ = false;
    return ended_ ? Next::kEnd : Next::kNothing;
  }
  message.Swap(&kept_.front());
  kept_.pop_front();
  kept_bytes_ -= message.Length();
  total_.bytes.fetch_sub(message.Length());
  return Next::kMessage;
}

}  // namespace timbre
