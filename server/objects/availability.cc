#include "server/objects/availability.h"

namespace timbre {
namespace {

constexpr int kFailures = 3;
constexpr absl::Duration kTryEvery = absl::Seconds(1);

}  // namespace

bool Availability::MayTry(absl::Time now) {
  const MutexLock lock(mutex_);
  if (failures_ < kFailures) return true;
  if (now < next_try_) return false;
  next_try_ = now + kTryEvery;
  return true;
}

void Availability::GivenUp() {
  const MutexLock lock(mutex_);
  next_try_ = absl::InfinitePast();
}

void Availability::Answered() {
  {
    const MutexLock lock(mutex_);
    if (failures_ == 0) return;
  }
  const MutexLock telling(telling_);
  bool was_away = false;
  {
    const MutexLock lock(mutex_);
    was_away = failures_ >= kFailures;
    failures_ = 0;
    why_ = absl::OkStatus();
  }
  if (was_away) observe_(absl::OkStatus());
}

void Availability::Failed(const absl::Status& why, absl::Time now) {
  const MutexLock telling(telling_);
  bool goes = false;
  {
    const MutexLock lock(mutex_);
    if (failures_ == 0) first_failed_ = now;
    if (failures_ < kFailures) goes = ++failures_ == kFailures;
    why_ = why;
    next_try_ = now + kTryEvery;
  }
  if (goes) observe_(why);
}

std::optional<absl::Time> Availability::away_since() const {
  const MutexLock lock(mutex_);
  if (failures_ < kFailures) return std::nullopt;
  return first_failed_;
}

absl::Status Availability::why() const {
  const MutexLock lock(mutex_);
  return failures_ < kFailures ? absl::OkStatus() : why_;
}

}  // namespace timbre
