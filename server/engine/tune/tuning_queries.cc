#include "server/engine/tune/tuning_queries.h"

#include <algorithm>
#include <random>

namespace timbre {
namespace {

constexpr size_t kHeldOutShare = 4;  // one in so many
constexpr float kOtherVoice = 0.5F;
// Of short voices another voice's frames lie between the few that there are.
constexpr uint64_t kShortVoice = 4096;
constexpr float kBetween = 0.4F;
constexpr size_t kMaxMeasured = 10'000;
constexpr size_t kMaxNeighbors = 1 << 21;

}  // namespace

OwnQueries MakeOwnQueries(const FrameStore& store, uint64_t seed,
                          size_t count) {
  const size_t n = store.dimension();
  std::mt19937_64 random(seed);
  std::vector<float> buffer(n);
  const auto draw = [&] { return random() % store.rows(); };
  const auto add = [&](uint64_t id, float weight, float* frame) {
    const float* const row = store.Row(id, buffer.data());
    for (size_t j = 0; j < n; ++j) frame[j] += weight * row[j];
  };
  OwnQueries queries{.frames = std::vector<float>(count * n),
                     .own = std::vector<int64_t>(count, -1)};
  for (size_t i = 0; i < count; ++i) {
    float* const frame = &queries.frames[i * n];
    const uint64_t id = draw();
    if (i < count / kHeldOutShare) {
      add(id, 1, frame);
      queries.own[i] = static_cast<int64_t>(id);
    } else if (store.rows() < kShortVoice) {
      add(id, 1 - kBetween, frame);
      add(draw(), kBetween, frame);
    } else {
      add(id, 1, frame);
      add(draw(), kOtherVoice, frame);
      add(draw(), -kOtherVoice, frame);
    }
  }
  return queries;
}

size_t OwnQueryCount(uint64_t rows) {
  return std::clamp<uint64_t>(rows / 400, 256, 384);
}

size_t MostMeasured(uint32_t k) {
  return std::min(kMaxMeasured, kMaxNeighbors / k);
}

std::vector<float> EvenlySpread(const FrameStore& store, size_t most) {
  const size_t n = store.dimension();
  const auto count =
      static_cast<size_t>(std::min<uint64_t>(store.rows(), most));
  std::vector<float> frames(count * n);
  for (size_t i = 0; i < count; ++i) {
    float* const frame = &frames[i * n];
    std::copy_n(store.Row(i * store.rows() / count, frame), n, frame);
  }
  return frames;
}

}  // namespace timbre
