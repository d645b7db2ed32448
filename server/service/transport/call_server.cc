#include "server/service/transport/call_server.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "server/base/monotonic_clock.h"
#include "server/base/thread_priority.h"
#include "server/service/transport/idle_poll.h"

namespace timbre {
namespace {

// Calls asked for in advance, per method and queue: a burst of new streams
// finds them waiting.
constexpr int kPostedCalls = 32;

// How long a client that has its last answer may take to half-close as the
// server drains, or a bit more.
constexpr absl::Duration kRound = absl::Milliseconds(100);

thread_local bool more_waits = false;

// What one thread does.
class Poller {
 public:
  Poller(grpc::ServerCompletionQueue& queue, absl::Duration idle_poll)
      : queue_(queue), idle_poll_(idle_poll) {}

  // Looks for the next event before the one at hand is worked on: a handler may
  // do more itself where nobody waits for this thread.
  void Run() {
    Event event;
    bool more = Wait(event);
    while (more) {
      Event next;
      more_waits = LookFor(next);
      static_cast<CompletionTag*>(event.tag)->Complete(event.ok);
      if (more_waits) {
        event = next;
        idle_poll_.Saw(event.tag, absl::ZeroDuration());
      } else {
        more = Wait(event);
      }
    }
  }

 private:
  struct Event {
    void* tag = nullptr;
    bool ok = false;
  };

  bool LookFor(Event& event) {
    return queue_.AsyncNext(&event.tag, &event.ok,
                            gpr_time_0(GPR_CLOCK_MONOTONIC)) ==
           grpc::CompletionQueue::GOT_EVENT;
  }

  // False: the queue is shut down.
  bool Wait(Event& event) {
    const absl::Time start = MonotonicNow();
    const absl::Time end = start + idle_poll_.patience();
    bool got = false;
    while (!got && MonotonicNow() < end) got = LookFor(event);
    if (!got && !queue_.Next(&event.tag, &event.ok)) return false;
    idle_poll_.Saw(event.tag, MonotonicNow() - start);
    return true;
  }

  grpc::ServerCompletionQueue& queue_;
  IdlePoll idle_poll_;
};

}  // namespace

void CallServer::AddService(
    const google::protobuf::ServiceDescriptor* descriptor,
    std::vector<Call::HandlerFactory> factories) {
  services_.push_back(
      {std::make_unique<RawService>(descriptor), std::move(factories)});
}

void CallServer::Register(grpc::ServerBuilder& builder) {
  for (const Service& service : services_) {
    builder.RegisterService(service.raw.get());
  }
  for (int i = 0; i < pollers_; ++i) {
    queues_.push_back(builder.AddCompletionQueue());
  }
}

void CallServer::Start() {
  const auto listener = [this](Call* call, bool accepted) {
    OnCall(call, accepted);
  };
  for (const auto& queue : queues_) {
    for (const Service& service : services_) {
      for (size_t i = 0; i < service.factories.size(); ++i) {
        for (int posted = 0; posted < kPostedCalls; ++posted) {
          Call::Post(*service.raw, static_cast<int>(i), *queue,
                     service.factories[i], listener);
        }
      }
    }
    threads_.emplace_back([queue = queue.get(), idle_poll = idle_poll_] {
      pthread_setname_np(pthread_self(), "grpc-poll");
      SetThreadPriority(ThreadPriority::kUrgent);
      Poller(*queue, idle_poll).Run();
    });
  }
}

bool CallServer::MoreWaits() { return more_waits; }

void CallServer::OnCall(Call* call, bool accepted) {
  bool drain = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (accepted) {
      calls_.insert(call);
      drain = draining_;
    } else {
      calls_.erase(call);
      if (calls_.empty()) idle_.notify_all();
    }
  }
  if (drain) call->Drain();
}

void CallServer::Drain(absl::Duration timeout) {
  const absl::Time end = MonotonicNow() + timeout;
  do {
    TellDraining();
  } while (!WaitUntilIdle(std::min(kRound, end - MonotonicNow())) &&
           MonotonicNow() < end);
}

void CallServer::TellDraining() {
  std::vector<std::shared_ptr<Call>> calls;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    draining_ = true;
    for (Call* const call : calls_) {
      // Null where the call is on its way out.
      if (auto held = call->weak_from_this().lock()) {
        calls.push_back(std::move(held));
      }
    }
  }
  for (const auto& call : calls) call->Drain();
}

bool CallServer::WaitUntilIdle(absl::Duration timeout) {
  std::unique_lock<std::mutex> lock(mutex_);
  return idle_.wait_for(lock, absl::ToChronoNanoseconds(timeout),
                        [this] { return calls_.empty(); });
}

void CallServer::Stop() {
  for (const auto& queue : queues_) queue->Shutdown();
  for (std::thread& thread : threads_) thread.join();
}

}  // namespace timbre
