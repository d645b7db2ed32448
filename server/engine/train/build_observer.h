// How a build tells what it does, and learns that it should stop.
#ifndef TIMBRE_SERVER_ENGINE_TRAIN_BUILD_OBSERVER_H_
#define TIMBRE_SERVER_ENGINE_TRAIN_BUILD_OBSERVER_H_

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
  // How many processors the build may use until it asks again, of the `most`
  // threads that it was given: it gives way to what is more urgent. Above 0;
  // below 1 it rests meanwhile.
  virtual double CpusNow(int most) const { return most; }
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_TRAIN_BUILD_OBSERVER_H_
