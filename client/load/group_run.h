// The streams of one group while they run, and what they measure.
#ifndef TIMBRE_CLIENT_LOAD_GROUP_RUN_H_
#define TIMBRE_CLIENT_LOAD_GROUP_RUN_H_

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <vector>

#include "client/cpp/client.h"
#include "client/load/exchange.h"
#include "client/load/group.h"
#include "client/load/results.h"
#include "server/base/mutex.h"

namespace timbre::load {

// Messages that are due in [begin, end) are measured.
struct Window {
  Clock::time_point begin;
  Clock::time_point end;
};

// Send and the callbacks are thread-safe. Outlives its exchanges: Close, then
// destroy.
class GroupRun : public ExchangeListener {
 public:
  using Stubs = std::vector<std::unique_ptr<grpc::GenericStub>>;
  // Asks that Send(stream) be called at a time: closed loops.
  using SendLater = std::function<void(Clock::time_point, uint32_t stream)>;

  // `stubs` are one per connection; streams take them in turn.
  GroupRun(const Group& group, uint32_t dimension, const Stubs& stubs,
           grpc::CompletionQueue& queue, uint32_t seed);
  // SetWindow and SetSendLater come before the first Send.
  void SetWindow(const Window& window);
  void SetSendLater(SendLater later) { send_later_ = std::move(later); }

  const Group& group() const { return group_; }
  // Sends the next message of `stream`, which was due at `due`, on its call or,
  // where that has ended, on a new one.
  void Send(uint32_t stream, Clock::time_point due);

  // Waits for outstanding answers, half-closes, waits for the ends; cuts off
  // what takes longer than `patience` each. Send must not be called any more.
  void Close(std::chrono::milliseconds patience);
  // Asks for some of the answers again; differences count as wrong. After
  // Close.
  absl::Status Check(client::Client& client);
  // After Close.
  GroupResult TakeResult();

  void OnSent(const Message& message, Clock::time_point sent) override;
  void OnAnswer(const Message& message, grpc::ByteBuffer& answer) override;
  void OnFailed(const Message& message, const grpc::Status& status) override;
  void OnEnd() override;

 private:
  // An answer to be looked at later.
  struct Kept {
    Message message;
    v1::BlendResponse blend;
    v1::SearchResponse search;
  };

  std::shared_ptr<Exchange> NewExchange(uint32_t stream)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ForEachCall(const std::function<void(Exchange&)>& act)
      ABSL_LOCKS_EXCLUDED(mutex_);
  bool Measured(const Message& message) const {
    return message.due >= window_.begin && message.due < window_.end;
  }
  v1::Degradation Read(grpc::ByteBuffer& answer);
  void KeepSome(const Message& message, v1::Degradation degradation)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Until `count`, which mutex_ guards, is 0; at most `patience`.
  void AwaitNone(const uint64_t& count, std::chrono::milliseconds patience,
                 MutexLock& lock) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the answer to the same frames is the same again.
  absl::StatusOr<bool> SameAgain(client::Client& client, const Kept& kept);
  void Next(const Message& message, Clock::time_point at);

  const Group group_;
  const Stubs& stubs_;
  grpc::CompletionQueue& queue_;
  const Payload payload_;
  Window window_;
  SendLater send_later_;

  // Of the polling thread.
  v1::BlendResponse blend_;
  v1::SearchResponse search_;

  Mutex mutex_;
  std::condition_variable changed_;
  // Of open calls; or null.
  std::vector<std::shared_ptr<Exchange>> streams_ ABSL_GUARDED_BY(mutex_);
  // All that may be open.
  std::vector<std::weak_ptr<Exchange>> calls_ ABSL_GUARDED_BY(mutex_);
  // By stream: until then the server asked not to be tried again.
  std::vector<Clock::time_point> not_before_ ABSL_GUARDED_BY(mutex_);
  uint64_t open_ ABSL_GUARDED_BY(mutex_) = 0;     // calls that have not ended
  uint64_t pending_ ABSL_GUARDED_BY(mutex_) = 0;  // messages without an answer
  uint64_t next_variant_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t answers_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Kept> kept_ ABSL_GUARDED_BY(mutex_);
  GroupResult result_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace timbre::load

#endif  // TIMBRE_CLIENT_LOAD_GROUP_RUN_H_
