// Selection of the smallest keys.
#ifndef TIMBRE_SERVER_ENGINE_TOP_K_H_
#define TIMBRE_SERVER_ENGINE_TOP_K_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace timbre {

// A score and an id in one integer whose order is (score, id): ties are broken
// by the smaller id, always.
using ScoredId = uint64_t;

// Maps floats to unsigned integers of the same order (-0 and +0 to one); not
// for NaN.
inline uint32_t SortableBits(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value + 0.0F);
  return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}
inline float FromSortableBits(uint32_t bits) {
  return std::bit_cast<float>((bits & 0x80000000U) != 0 ? bits & 0x7fffffffU
                                                        : ~bits);
}
inline ScoredId MakeScoredId(uint32_t score, uint32_t id) {
  return static_cast<uint64_t>(score) << 32 | id;
}
inline ScoredId MakeScoredId(float score, uint32_t id) {
  return MakeScoredId(SortableBits(score), id);
}
inline uint32_t IdOf(ScoredId key) { return static_cast<uint32_t>(key); }
inline float ScoreOf(ScoredId key) {
  return FromSortableBits(static_cast<uint32_t>(key >> 32));
}

// Keeps the k smallest of the keys that are pushed: a reservoir of 2 k that is
// halved when full, so that a push costs O(1) on average. Reused from query to
// query, it does not allocate. Not thread-safe.
class TopK {
 public:
  // k >= 1.
  void Reset(size_t k) {
    k_ = k;
    keys_.clear();
    threshold_ = std::numeric_limits<ScoredId>::max();
  }

  void Push(ScoredId key) {
    if (key >= threshold_) return;
    keys_.push_back(key);
    if (keys_.size() >= 2 * k_ + kSlack) Shrink();
  }

  // A key that is not below this is not wanted any more.
  ScoredId threshold() const { return threshold_; }

  // The keys, smallest first: k, or as many as were pushed. Valid until Reset.
  const std::vector<ScoredId>& Finish() {
    if (keys_.size() > k_) Shrink();
    std::sort(keys_.begin(), keys_.end());
    return keys_;
  }

 private:
  static constexpr size_t kSlack = 16;

  void Shrink() {
    std::nth_element(keys_.begin(),
                     keys_.begin() + static_cast<std::ptrdiff_t>(k_ - 1),
                     keys_.end());
    keys_.resize(k_);
    threshold_ = keys_[k_ - 1];
  }

  size_t k_ = 1;
  ScoredId threshold_ = 0;
  std::vector<ScoredId> keys_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_TOP_K_H_
