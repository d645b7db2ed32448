#include "server/catalog/open/voice_opener.h"

namespace timbre {

VoiceOpener::VoiceOpener(Acquire acquire, int threads)
    : acquire_(std::move(acquire)),
      threads_("open", threads, ThreadPriority::kDeferred) {}

void VoiceOpener::Open(const std::string& speaker, uint64_t version,
                       Done done) {
  const Voice voice(speaker, version);
  {
    MutexLock lock(mutex_);
    if (stopped_) {
      lock.Unlock();
      return done(absl::CancelledError("the server stops"));
    }
    std::vector<Done>& waiting = waiting_[voice];
    waiting.push_back(std::move(done));
    if (waiting.size() > 1) return;
    // With the lock, so that Stop does not come between the two.
    threads_.Submit([this, voice] { AcquireForAll(voice); });
  }
}

void VoiceOpener::Stop() {
  {
    const MutexLock lock(mutex_);
    stopped_ = true;
  }
  threads_.Stop();
}

absl::StatusOr<Lease> VoiceOpener::OpenNow(const std::string& speaker,
                                           uint64_t version) {
  return acquire_(speaker, version);
}

void VoiceOpener::AcquireForAll(const Voice& voice) {
  const absl::StatusOr<Lease> lease = acquire_(voice.first, voice.second);
  std::vector<Done> waiting;
  {
    const MutexLock lock(mutex_);
    waiting = std::move(waiting_.extract(voice).mapped());
  }
  for (const Done& done : waiting) done(lease);
}

}  // namespace timbre
