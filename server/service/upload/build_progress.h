// Telling a Build's client how far it is.
#ifndef TIMBRE_SERVER_SERVICE_UPLOAD_BUILD_PROGRESS_H_
#define TIMBRE_SERVER_SERVICE_UPLOAD_BUILD_PROGRESS_H_

#include <atomic>
#include <condition_variable>
#include <deque>
#include <optional>
#include <thread>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/monotonic_clock.h"
#include "server/base/mutex.h"
#include "server/base/semaphore.h"
#include "server/engine/train/build_observer.h"
#include "server/metrics/server_metrics.h"
#include "server/service/transport/call.h"
#include "timbre/v1/retrieval.pb.h"

namespace timbre {

// Writes BuildProgress to one call: every stage at least once, and whenever
// Tick is called; what a client does not take is dropped, never waited for.
// Thread-safe.
class BuildProgress {
 public:
  BuildProgress(Call& call, ServerMetrics& metrics)
      : call_(call),
        metrics_(metrics),
        start_(MonotonicNow()),
        stage_start_(start_) {}

  void SetExpectedFrames(uint64_t frames);  // 0: unknown
  void SetReceivedFrames(uint64_t frames);
  // `fraction` is of the stage. Takes no lock: for the thread that builds,
  // which runs at the lowest priority.
  void Advance(BuildStage stage, double fraction);
  // The client is told that this stage began at `now`.
  void Begin(BuildStage stage, absl::Time now);
  void Tick();
  // The call's OnWritten.
  void OnWritten();

  // The call is broken: nobody waits for what is not written yet.
  void OnCancelled();

  // What was given until now must have been taken for AwaitConfirmation.
  void Confirm();
  // Whether the client was there after it half-closed: a message that was
  // written since has been taken by the connection. Waits for that without a
  // lock, at most `patience`; a client that does not read for so long counts as
  // there. CANCELLED if nobody waits any more.
  absl::Status AwaitConfirmation(absl::Duration patience);

  // Sends the last message once nothing else is being written, and ends.
  void Complete(const v1::BuildResponse& last);

 private:
  void Raise(double fraction);  // of the whole build
  v1::BuildResponse Snapshot() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Send(v1::BuildResponse message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ConfirmIfTaken() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  grpc::ByteBuffer Counted(const v1::BuildResponse& message);

  Call& call_;
  ServerMetrics& metrics_;
  const absl::Time start_;

  std::atomic<double> fraction_{0};  // of the whole build, never falling
  Semaphore confirmed_;

  Mutex mutex_;
  BuildStage stage_ ABSL_GUARDED_BY(mutex_) = BuildStage::kReceiving;
  absl::Time stage_start_ ABSL_GUARDED_BY(mutex_);
  uint64_t frames_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t expected_frames_ ABSL_GUARDED_BY(mutex_) = 0;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  // Messages that the connection was given, and has taken.
  uint64_t sent_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t written_ ABSL_GUARDED_BY(mutex_) = 0;
  // What written_ must come to for AwaitConfirmation.
  std::optional<uint64_t> to_confirm_ ABSL_GUARDED_BY(mutex_);
  // First messages of stages, not sent yet.
  std::deque<v1::BuildResponse> stages_ ABSL_GUARDED_BY(mutex_);
  bool completing_ ABSL_GUARDED_BY(mutex_) = false;
  v1::BuildResponse last_ ABSL_GUARDED_BY(mutex_);
};

// One thread that calls Tick every 400 ms. Thread-safe.
class ProgressTicker {
 public:
  ProgressTicker();
  ~ProgressTicker();
  // `progress` is ticked until it is removed; `call` keeps it alive meanwhile.
  void Add(BuildProgress* progress, const std::shared_ptr<Call>& call);
  void Remove(BuildProgress* progress);

 private:
  void Run();

  Mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::unordered_map<BuildProgress*, std::weak_ptr<Call>> all_
      ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_UPLOAD_BUILD_PROGRESS_H_
