#include "client/files/synth.h"

#include <algorithm>
#include <cmath>

#include "server/base/half.h"

namespace timbre::client {
namespace {

// Variances, summed over all dimensions: together they give the distances
// that the header promises.
constexpr float kMeanEnergy = 34;
constexpr float kPhoneEnergy = 58;
constexpr float kOccurrenceEnergy = 20;
constexpr float kDriftEnergy = 10;
constexpr float kNoiseEnergy = 4;
constexpr float kVoiceEnergy = 4;

constexpr float kDriftMemory = 0.75F;  // correlation of neighbouring frames
constexpr float kSilenceShare = 0.06F;
constexpr uint64_t kLanguageSeed = 20240229;  // phones are the same for all

}  // namespace

float FeatureSynth::Uniform(std::mt19937_64& random) {
  return static_cast<float>(random() >> 40) * 0x1p-24F;
}

// The sum of twelve uniform numbers: exact arithmetic, the same everywhere.
float FeatureSynth::Normal(std::mt19937_64& random) {
  float sum = -6;
  for (int i = 0; i < 12; ++i) sum += Uniform(random);
  return sum;
}

FeatureSynth::FeatureSynth(uint64_t voice_seed, uint32_t dimension)
    : dimension_(dimension),
      random_(voice_seed * 0x9e3779b97f4a7c15ULL + 1),
      mean_(dimension),
      basis_(size_t{kLatent} * dimension),
      silence_(dimension),
      from_(kLatent),
      to_(kLatent),
      drift_(kVariations) {
  std::mt19937_64 language(kLanguageSeed + dimension);
  const auto scale = [dimension](float energy) {
    return std::sqrt(energy / static_cast<float>(dimension));
  };
  // A basis row has length 1 on average, the first ones more: speech has a few
  // strong directions and many weak ones.
  float energy = 0;
  std::vector<float> strength(kLatent);
  for (uint32_t i = 0; i < kLatent; ++i) {
    strength[i] = 1.0F / (1.0F + 0.08F * static_cast<float>(i));
    energy += strength[i] * strength[i];
  }
  for (uint32_t i = 0; i < kLatent; ++i) {
    const float length = strength[i] / std::sqrt(energy);
    for (uint32_t j = 0; j < dimension; ++j) {
      // Voices share most of each direction.
      const float shared = Normal(language);
      basis_[size_t{i} * dimension + j] =
          length * scale(1) * (0.95F * shared + 0.312F * Normal(random_));
    }
  }
  for (uint32_t j = 0; j < dimension; ++j) {
    mean_[j] = scale(kMeanEnergy) * Normal(language) +
               scale(kVoiceEnergy) * Normal(random_);
    silence_[j] = mean_[j] + scale(kPhoneEnergy) * Normal(language);
  }
  phones_.resize(kPhones);
  for (Phone& phone : phones_) {
    phone.center.resize(kLatent);
    for (float& x : phone.center) {
      x = std::sqrt(kPhoneEnergy) * Normal(language) +
          std::sqrt(kVoiceEnergy) * 0.5F * Normal(random_);
    }
    phone.variations.assign(kVariations, Latent(kLatent));
    for (Latent& direction : phone.variations) {
      for (float& x : direction) x = Normal(language);
    }
  }
  StartPhone();
}

void FeatureSynth::StartPhone() {
  silent_ = Uniform(random_) < kSilenceShare;
  length_ = 3 + static_cast<uint32_t>(Uniform(random_) * 9);
  if (silent_) length_ *= 2;
  step_ = 0;
  from_ = to_;
  phone_ = &phones_[static_cast<size_t>(Uniform(random_) * kPhones)];
  to_ = phone_->center;
  for (const Latent& direction : phone_->variations) {
    const float amount =
        std::sqrt(kOccurrenceEnergy / kVariations) * Normal(random_);
    for (uint32_t i = 0; i < kLatent; ++i) to_[i] += amount * direction[i];
  }
}

void FeatureSynth::Step(float* frame) {
  if (step_ == length_) StartPhone();
  ++step_;
  // Silence after its first frames is one frame, again and again.
  if (silent_ && step_ > 2) {
    std::copy(silence_.begin(), silence_.end(), frame);
    return;
  }
  // The first third of a phone glides from the one before.
  const float glide = std::min(
      1.0F, 3.0F * static_cast<float>(step_) / static_cast<float>(length_ + 1));
  const float fresh =
      std::sqrt((1 - kDriftMemory * kDriftMemory) * kDriftEnergy / kVariations);
  for (float& x : drift_) x = kDriftMemory * x + fresh * Normal(random_);
  std::copy(mean_.begin(), mean_.end(), frame);
  for (uint32_t i = 0; i < kLatent; ++i) {
    float z = from_[i] + glide * (to_[i] - from_[i]);
    for (uint32_t v = 0; v < kVariations; ++v) {
      z += drift_[v] * phone_->variations[v][i];
    }
    const float* const direction = &basis_[size_t{i} * dimension_];
    for (uint32_t j = 0; j < dimension_; ++j) frame[j] += z * direction[j];
  }
  const float noise = std::sqrt(kNoiseEnergy / static_cast<float>(dimension_));
  for (uint32_t j = 0; j < dimension_; ++j) {
    frame[j] += noise * Normal(random_);
  }
}

FrameMatrix FeatureSynth::Next(uint64_t frames) {
  FrameMatrix matrix;
  matrix.rows = frames;
  matrix.columns = dimension_;
  matrix.data.resize(frames * dimension_);
  for (uint64_t i = 0; i < frames; ++i) Step(matrix.row(i));
  // An encoder that runs in half precision.
  for (float& x : matrix.data) x = HalfToFloat(FloatToHalf(x));
  return matrix;
}

}  // namespace timbre::client
