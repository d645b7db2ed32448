// Synthetic speech features, for demos, tests and benchmarks.
//
// A model of what HuBERT and ContentVec give: phones (shared by all voices) as
// clusters in a space of few dimensions, each occurrence a little elsewhere, a
// drift inside of it along the few ways in which a phone varies, glides between
// phones, a voice's own offset, noise in all dimensions, and silences that
// repeat one frame exactly; on the float16 grid. Its figures are those measured
// on real features: mean norm 9-13, neighbouring frames at squared distance
// 9-35, random pairs at 150-200.
#ifndef TIMBRE_CLIENT_FILES_SYNTH_H_
#define TIMBRE_CLIENT_FILES_SYNTH_H_

#include <cstdint>
#include <random>
#include <vector>

#include "client/cpp/matrix.h"

namespace timbre::client {

// One recording after the other of one voice. The same arguments give the same
// bytes, on every machine: no number depends on a library's distributions.
// Not thread-safe.
class FeatureSynth {
 public:
  // `dimension` 2..4096.
  FeatureSynth(uint64_t voice_seed, uint32_t dimension);

  // The next `frames` frames (20 ms each).
  FrameMatrix Next(uint64_t frames);

 private:
  static constexpr uint32_t kLatent = 48;  // dimensions that speech moves in
  static constexpr uint32_t kPhones = 56;

  static constexpr uint32_t kVariations = 5;  // ways in which a phone varies

  using Latent = std::vector<float>;  // [kLatent]
  struct Phone {
    Latent center;
    std::vector<Latent> variations;  // directions of unit length
  };

  static float Uniform(std::mt19937_64& random);
  static float Normal(std::mt19937_64& random);
  void StartPhone();
  void Step(float* frame);

  const uint32_t dimension_;
  std::mt19937_64 random_;      // of this voice
  std::vector<float> mean_;     // [dimension]
  std::vector<float> basis_;    // [kLatent, dimension]
  std::vector<float> silence_;  // [dimension]
  std::vector<Phone> phones_;
  const Phone* phone_ = nullptr;
  Latent from_;               // where the glide began
  Latent to_;                 // this occurrence of the phone
  std::vector<float> drift_;  // around it, along the variations
  uint32_t step_ = 0;
  uint32_t length_ = 0;  // frames of this phone
  bool silent_ = false;
};

}  // namespace timbre::client

#endif  // TIMBRE_CLIENT_FILES_SYNTH_H_
