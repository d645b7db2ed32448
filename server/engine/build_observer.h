// How a build tells what it does, and learns that it should stop.
#ifndef TIMBRE_SERVER_ENGINE_BUILD_OBSERVER_H_
#define TIMBRE_SERVER_ENGINE_BUILD_OBSERVER_H_

#include <cstdint>

namespace timbre {

enum class BuildStage : uint8_t {
  kReceiving,
  kQueued,
  kReducing,
  kTraining,
  kAdding,
  kTuning,
  kPublishing,
};

// Implementations are thread-safe and quick.
class BuildObserver {
 public:
  virtual ~BuildObserver() = default;
  // `fraction` (0..1) of the stage is done.
  virtual void OnProgress(BuildStage stage, double fraction) = 0;
  virtual bool cancelled() const = 0;
  // Of the `most` threads that the build was given, how many it may use until
  // it asks again: a build gives way to what is more urgent.
  virtual int ThreadsNow(int most) const { return most; }
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_BUILD_OBSERVER_H_
