#include "server/service/upload/build_progress.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>
#include <vector>

#include "server/service/transport/message_codec.h"

namespace timbre {
namespace {

constexpr auto kTick = std::chrono::milliseconds(400);

struct StageShare {
  v1::BuildProgress::Stage stage;
  double begin;  // of the whole build
  double end;
};

// In the order of BuildStage. What the shares are is a guess; that they never
// fall is a promise.
constexpr std::array<StageShare, kBuildStages> kShares = {{
    {v1::BuildProgress::STAGE_RECEIVING, 0.0, 0.2},
    {v1::BuildProgress::STAGE_QUEUED, 0.2, 0.2},
    {v1::BuildProgress::STAGE_REDUCING, 0.2, 0.4},
    {v1::BuildProgress::STAGE_TRAINING, 0.4, 0.7},
    {v1::BuildProgress::STAGE_ADDING, 0.7, 0.85},
    {v1::BuildProgress::STAGE_TUNING, 0.85, 0.95},
    {v1::BuildProgress::STAGE_PUBLISHING, 0.95, 1.0},
}};

const StageShare& ShareOf(BuildStage stage) {
  return kShares[static_cast<size_t>(stage)];
}

}  // namespace

void BuildProgress::SetExpectedFrames(uint64_t frames) {
  const MutexLock lock(mutex_);
  expected_frames_ = frames;
}

void BuildProgress::SetReceivedFrames(uint64_t frames) {
  const MutexLock lock(mutex_);
  frames_ = frames;
  if (expected_frames_ == 0) return;
  const double share =
      static_cast<double>(frames) / static_cast<double>(expected_frames_);
  Raise(ShareOf(BuildStage::kReceiving).end * std::min(share, 1.0));
}

void BuildProgress::Raise(double fraction) {
  double before = fraction_.load();
  while (fraction > before &&
         !fraction_.compare_exchange_weak(before, fraction)) {
  }
}

void BuildProgress::Advance(BuildStage stage, double fraction) {
  const StageShare& share = ShareOf(stage);
  Raise(share.begin + (share.end - share.begin) * fraction);
}

void BuildProgress::Begin(BuildStage stage, absl::Time now) {
  Advance(stage, 0);
  const MutexLock lock(mutex_);
  metrics_.ObserveBuildStage(static_cast<size_t>(stage_), now - stage_start_);
  stage_ = stage;
  stage_start_ = now;
  Send(Snapshot());
}

v1::BuildResponse BuildProgress::Snapshot() const {
  v1::BuildResponse message;
  v1::BuildProgress& progress = *message.mutable_progress();
  progress.set_stage(ShareOf(stage_).stage);
  progress.set_fraction(static_cast<float>(fraction_.load()));
  progress.set_frames(frames_);
  const int64_t nanos = absl::ToInt64Nanoseconds(MonotonicNow() - start_);
  progress.mutable_elapsed()->set_seconds(nanos / 1'000'000'000);
  progress.mutable_elapsed()->set_nanos(
      static_cast<int32_t>(nanos % 1'000'000'000));
  return message;
}

void BuildProgress::Send(v1::BuildResponse message) {
  if (writing_) {
    // Of each stage there is one first message, so this stays short.
    stages_.push_back(std::move(message));
    return;
  }
  writing_ = true;
  ++sent_;
  call_.Write(Counted(message));
}

grpc::ByteBuffer BuildProgress::Counted(const v1::BuildResponse& message) {
  grpc::ByteBuffer bytes = SerializeMessage(message);
  metrics_.AddBytes(Rpc::kBuild, 0, bytes.Length());
  return bytes;
}

void BuildProgress::OnCancelled() {
  const MutexLock lock(mutex_);
  ConfirmIfTaken();
}

void BuildProgress::Tick() {
  const MutexLock lock(mutex_);
  if (writing_ || completing_) return;
  Send(Snapshot());
}

void BuildProgress::OnWritten() {
  const MutexLock lock(mutex_);
  writing_ = false;
  ++written_;
  ConfirmIfTaken();
  if (!stages_.empty()) {
    v1::BuildResponse next = std::move(stages_.front());
    stages_.pop_front();
    Send(std::move(next));
  } else if (completing_) {
    call_.WriteAndFinish(Counted(last_));
  }
}

void BuildProgress::Confirm() {
  const MutexLock lock(mutex_);
  to_confirm_ = sent_ + stages_.size();
  ConfirmIfTaken();
}

void BuildProgress::ConfirmIfTaken() {
  if (to_confirm_ && (written_ >= *to_confirm_ || call_.cancelled())) {
    to_confirm_.reset();
    confirmed_.Post();
  }
}

absl::Status BuildProgress::AwaitConfirmation(absl::Duration patience) {
  confirmed_.WaitFor(patience);
  if (!call_.cancelled()) return absl::OkStatus();
  return absl::CancelledError("the build was cancelled");
}

void BuildProgress::Complete(const v1::BuildResponse& last) {
  const MutexLock lock(mutex_);
  metrics_.ObserveBuildStage(static_cast<size_t>(stage_),
                             MonotonicNow() - stage_start_);
  completing_ = true;
  last_ = last;
  if (!writing_) call_.WriteAndFinish(Counted(last_));
}

ProgressTicker::ProgressTicker() : thread_([this] { Run(); }) {}

ProgressTicker::~ProgressTicker() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void ProgressTicker::Add(BuildProgress* progress,
                         const std::shared_ptr<Call>& call) {
  const MutexLock lock(mutex_);
  all_[progress] = call;
}

void ProgressTicker::Remove(BuildProgress* progress) {
  const MutexLock lock(mutex_);
  all_.erase(progress);
}

void ProgressTicker::Run() {
  MutexLock lock(mutex_);
  for (;;) {
    const auto next = std::chrono::steady_clock::now() + kTick;
    while (!stopping_ &&
           lock.WaitUntil(wake_, next) == std::cv_status::no_timeout) {
    }
    if (stopping_) return;
    std::vector<std::pair<BuildProgress*, std::shared_ptr<Call>>> held;
    for (const auto& [progress, call] : all_) {
      if (auto alive = call.lock()) held.emplace_back(progress, alive);
    }
    lock.Unlock();
    for (const auto& [progress, call] : held) progress->Tick();
    held.clear();
    lock.Lock();
  }
}

}  // namespace timbre
