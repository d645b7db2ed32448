#include "server/catalog/open/voice_opener.h"

#include <future>

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
  }
  threads_.Submit([this, voice] { AcquireForAll(voice); });
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
  std::promise<absl::StatusOr<Lease>> opened;
  Open(speaker, version, [&opened](absl::StatusOr<Lease> lease) {
    opened.set_value(std::move(lease));
  });
  return opened.get_future().get();
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
