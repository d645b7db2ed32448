#include "server/catalog/open/voice_opener.h"

namespace timbre {

void VoiceOpener::Open(const std::string& speaker, uint64_t version,
                       Done done) {
  const Voice voice(speaker, version);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<Done>& waiting = waiting_[voice];
    waiting.push_back(std::move(done));
    if (waiting.size() > 1) return;
  }
  io_.Submit([this, voice] { AcquireForAll(voice); });
}

void VoiceOpener::AcquireForAll(const Voice& voice) {
  const absl::StatusOr<Lease> lease = acquire_(voice.first, voice.second);
  std::vector<Done> waiting;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    waiting = std::move(waiting_.extract(voice).mapped());
  }
  for (const Done& done : waiting) done(lease);
}

}  // namespace timbre
