#include "client/load/run.h"

#include <sys/prctl.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <optional>
#include <queue>
#include <thread>

#include "client/cpp/address.h"
#include "client/cpp/channel.h"
#include "client/load/arrivals.h"
#include "client/load/group_run.h"
#include "server/base/mutex.h"
#include "server/base/status_macros.h"
#include "server/base/thread_priority.h"

namespace timbre::load {
namespace {

constexpr auto kPatience = std::chrono::seconds(5);

// What is to be sent, and when: the schedule of a group, and what its closed
// loop asks for. Sends on a thread of its own.
class Sender {
 public:
  Sender(std::vector<std::unique_ptr<GroupRun>>& groups,
         Clock::time_point start, Clock::time_point end,
         const RunOptions& options)
      : groups_(groups), start_(start), end_(end), priority_(options.priority) {
    for (size_t i = 0; i < groups.size(); ++i) {
      const Group& group = groups[i]->group();
      groups[i]->SetSendLater([this, i](Clock::time_point at, uint32_t stream) {
        Add({at, i, stream, false});
      });
      schedules_.emplace_back();
      if (group.period.count() > 0) {
        schedules_[i].emplace(group.streams, group.period, group.poisson,
                              options.seed);
        AddArrival(i);
        continue;
      }
      for (uint32_t n = 0; n < group.streams * group.in_flight; ++n) {
        due_.push({start, i, n % group.streams, false});
      }
    }
    thread_ = std::thread([this] { SendAll(); });
  }

  // Returns at the end.
  void Join() { thread_.join(); }

 private:
  struct Due {
    Clock::time_point at;
    size_t group;
    uint32_t stream;
    bool scheduled;
    bool operator<(const Due& other) const { return at > other.at; }
  };

  void Add(const Due& due) {
    {
      const MutexLock lock(mutex_);
      due_.push(due);
    }
    added_.notify_one();
  }

  void AddArrival(size_t group) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const Arrival arrival = schedules_[group]->Next();
    due_.push({start_ + arrival.at, group, arrival.stream, true});
  }

  void SendAll() {
    prctl(PR_SET_TIMERSLACK, 1);  // not 50 us late
    SetThreadPriority(priority_);
    MutexLock lock(mutex_);
    while (true) {
      const Clock::time_point next =
          due_.empty() ? end_ : std::min(end_, due_.top().at);
      if (Clock::now() < next) {
        lock.WaitUntil(added_, next);
        continue;
      }
      if (next >= end_) return;
      const Due due = due_.top();
      due_.pop();
      if (due.scheduled) AddArrival(due.group);
      lock.Unlock();
      groups_[due.group]->Send(due.stream, due.at);
      lock.Lock();
    }
  }

  std::vector<std::unique_ptr<GroupRun>>& groups_;
  const Clock::time_point start_;
  const Clock::time_point end_;
  const ThreadPriority priority_;
  Mutex mutex_;
  std::condition_variable added_;
  // By group; none: a closed loop.
  std::vector<std::optional<ArrivalSchedule>> schedules_
      ABSL_GUARDED_BY(mutex_);
  std::priority_queue<Due> due_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

absl::StatusOr<GroupRun::Stubs> Connect(const RunOptions& options) {
  TIMBRE_ASSIGN_OR_RETURN(const client::Address address,
                          client::ParseAddress(options.server));
  GroupRun::Stubs stubs;
  for (uint32_t i = 0; i < std::max(1U, options.connections); ++i) {
    grpc::ChannelArguments arguments;
    // Else all of them would share one connection.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    const auto channel = client::NewChannel(address, arguments);
    TIMBRE_RETURN_IF_ERROR(
        client::AwaitConnection(channel, address, options.timeout));
    stubs.push_back(std::make_unique<grpc::GenericStub>(channel));
  }
  return stubs;
}

}  // namespace

absl::StatusOr<std::vector<GroupResult>> Run(const RunOptions& options,
                                             const std::vector<Group>& groups) {
  TIMBRE_ASSIGN_OR_RETURN(const GroupRun::Stubs stubs, Connect(options));
  grpc::CompletionQueue queue;
  std::vector<std::unique_ptr<GroupRun>> runs;
  runs.reserve(groups.size());
  for (const Group& group : groups) {
    runs.push_back(
        std::make_unique<GroupRun>(group, options.dimension, stubs, queue,
                                   static_cast<uint32_t>(options.seed)));
  }
  const Clock::time_point start = Clock::now();
  const Window window{start + options.warm_up,
                      start + options.warm_up + options.duration};
  for (const auto& run : runs) run->SetWindow(window);
  std::thread poller([&queue, &options] {
    SetThreadPriority(options.priority);
    void* tag = nullptr;
    bool ok = false;
    while (queue.Next(&tag, &ok)) static_cast<Event*>(tag)->Complete(ok);
  });
  Sender sender(runs, start, window.end, options);
  std::this_thread::sleep_until(window.begin);
  if (options.on_begin) options.on_begin();
  sender.Join();
  if (options.on_end) options.on_end();
  for (const auto& run : runs) run->Close(kPatience);
  queue.Shutdown();
  poller.join();
  client::Client checker(options.server, options.timeout);
  std::vector<GroupResult> results;
  for (const auto& run : runs) {
    TIMBRE_RETURN_IF_ERROR(run->Check(checker));
    results.push_back(run->TakeResult());
  }
  return results;
}

}  // namespace timbre::load
