#include "server/service/transport/call_server.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
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

// Clients whose calls are refused are told to try again after it.
constexpr absl::Duration kRetryAfter = absl::Seconds(1);

// Left at the end of a drain for changes that have begun, to be answered.
constexpr absl::Duration kShutdownGrace = absl::Seconds(1);

thread_local bool more_waits = false;

// Answers a call that is one too many.
class Refusal : public CallHandler {
 public:
  Refusal(Call& call, size_t max_calls) : call_(call), max_calls_(max_calls) {}

  void OnStart() override {
    call_.Finish(MakeRetryableError(absl::StatusCode::kResourceExhausted,
                                    "TOO_MANY_CALLS",
                                    absl::StrCat("the server has ", max_calls_,
                                                 " calls open (--max_calls)"),
                                    kRetryAfter));
  }
  void OnRequest(grpc::ByteBuffer) override {}
  void OnRequestsEnd() override {}
  void OnEnd(const absl::Status&) override {}

 private:
  Call& call_;
  const size_t max_calls_;
};

// What one thread does.
class Poller {
 public:
  Poller(grpc::ServerCompletionQueue& queue, absl::Duration idle_poll,
         PollerBeats::Beat& beat)
      : queue_(queue), idle_poll_(idle_poll), beat_(beat) {}

  // Looks for the next event before the one at hand is worked on: a handler may
  // do more itself where nobody waits for this thread.
  void Run() {
    Event event;
    bool more = Wait(event);
    while (more) {
      Event next;
      more_waits = LookFor(next);
      beat_.Count();
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
  PollerBeats::Beat& beat_;
};

}  // namespace

void CallServer::AddService(
    const google::protobuf::ServiceDescriptor* descriptor,
    std::vector<Call::HandlerFactory> factories, ServiceKind kind) {
  if (kind == ServiceKind::kWork) {
    for (Call::HandlerFactory& factory : factories) {
      factory = Bounded(std::move(factory));
    }
  }
  services_.push_back(
      {std::make_unique<RawService>(descriptor), std::move(factories)});
}

Call::HandlerFactory CallServer::Bounded(Call::HandlerFactory factory) {
  return [this, factory = std::move(factory)](
             Call& call) -> std::unique_ptr<CallHandler> {
    if (in_flight_.load(std::memory_order_relaxed) < options_.max_calls) {
      return factory(call);
    }
    return std::make_unique<Refusal>(call, options_.max_calls);
  };
}

void CallServer::Register(grpc::ServerBuilder& builder) {
  for (const Service& service : services_) {
    builder.RegisterService(service.raw.get());
  }
  for (int i = 0; i < options_.pollers; ++i) {
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
                     service.factories[i], listener, connections_);
        }
      }
    }
    threads_.emplace_back([this, queue = queue.get()] {
      pthread_setname_np(pthread_self(), "grpc-poll");
      SetThreadPriority(ThreadPriority::kUrgent);
      Poller(*queue, options_.idle_poll, beats_.Join()).Run();
    });
  }
}

bool CallServer::MoreWaits() { return more_waits; }

void CallServer::OnCall(Call* call, bool accepted) {
  bool drain = false;
  {
    const MutexLock lock(mutex_);
    if (accepted) {
      calls_.insert(call);
      in_flight_.store(calls_.size(), std::memory_order_relaxed);
      drain = draining_;
    } else {
      calls_.erase(call);
      in_flight_.store(calls_.size(), std::memory_order_relaxed);
      if (calls_.empty()) idle_.notify_all();
    }
  }
  if (drain) call->Drain();
}

void CallServer::Drain(absl::Duration timeout, const absl::Status& refusal) {
  const absl::Time end = MonotonicNow() + timeout;
  const absl::Time refuse_at = end - std::min(kShutdownGrace, timeout / 4);
  do {
    TellDraining();
  } while (!WaitUntilIdle(std::min(kRound, refuse_at - MonotonicNow())) &&
           MonotonicNow() < refuse_at);
  for (const auto& call : Calls()) call->Refuse(refusal);
  WaitUntilIdle(std::min(kShutdownGrace, end - MonotonicNow()));
}

std::vector<std::shared_ptr<Call>> CallServer::Calls() {
  std::vector<std::shared_ptr<Call>> calls;
  const MutexLock lock(mutex_);
  for (Call* const call : calls_) {
    // Null where the call is on its way out.
    if (auto held = call->weak_from_this().lock()) {
      calls.push_back(std::move(held));
    }
  }
  return calls;
}

void CallServer::TellDraining() {
  {
    const MutexLock lock(mutex_);
    draining_ = true;
  }
  for (const auto& call : Calls()) call->Drain();
}

bool CallServer::WaitUntilIdle(absl::Duration timeout) {
  MutexLock lock(mutex_);
  const auto end =
      std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(timeout);
  while (!calls_.empty() &&
         lock.WaitUntil(idle_, end) == std::cv_status::no_timeout) {
  }
  return calls_.empty();
}

void CallServer::Stop() {
  for (const auto& queue : queues_) queue->Shutdown();
  for (std::thread& thread : threads_) thread.join();
}

}  // namespace timbre
