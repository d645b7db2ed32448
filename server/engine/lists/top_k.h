// Selection of the smallest keys.
#ifndef TIMBRE_SERVER_ENGINE_LISTS_TOP_K_H_
#define TIMBRE_SERVER_ENGINE_LISTS_TOP_K_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "server/kernels/kernels.h"

namespace timbre {

// A score and an id in one integer whose order is (score, id): of equal scores
// the smaller id comes first.
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

// Keeps the k smallest of the keys that are pushed: a sorted array where k is
// small, else a reservoir of 2 k that is halved when full, so that a push costs
// O(1) on average. Reused from query to query, it does not allocate. Not
// thread-safe.
class TopK {
 public:
  // k >= 1.
  void Reset(size_t k) {
    k_ = k;
    size_ = 0;
    threshold_ = std::numeric_limits<ScoredId>::max();
    const size_t room = k <= kSorted ? k : 2 * k;
    if (keys_.size() < room) keys_.resize(room);
  }

  void Push(ScoredId key) {
    if (key >= threshold_) return;
    if (k_ <= kSorted) return Insert(key);
    keys_[size_++] = key;
    if (size_ == 2 * k_) Shrink();
  }

  // Pushes (scores[i], ids[i]), i < ids.size(). A few at the beginning are
  // ranked all at once, without a branch that could be predicted wrongly.
  void Push(const float* scores, std::span<const uint32_t> ids,
            const KernelTable& kernels) {
    if (size_ == 0 && ids.size() <= kMaxRanked && k_ <= kSorted) {
      return PlaceRanked(scores, ids, kernels);
    }
    for (size_t i = 0; i < ids.size(); ++i) {
      Push(MakeScoredId(scores[i], ids[i]));
    }
  }

  bool full() const { return size_ >= k_; }

  // The largest of the k smallest. REQUIRES: full().
  ScoredId Farthest() {
    if (k_ > kSorted) Shrink();
    return keys_[k_ - 1];
  }

  // The keys, smallest first: k, or as many as were pushed. Valid until Reset.
  std::span<const ScoredId> Finish() {
    if (k_ > kSorted) {
      if (size_ > k_) Shrink();
      std::sort(keys_.data(), keys_.data() + size_);
    }
    return {keys_.data(), size_};
  }

 private:
  // Up to here moving keys is cheaper than selecting among them.
  static constexpr size_t kSorted = 32;
  static constexpr ScoredId kFree = std::numeric_limits<ScoredId>::max();

  void Insert(ScoredId key) {
    ScoredId* const keys = keys_.data();
    size_t i = size_ < k_ ? size_++ : k_ - 1;
    for (; i > 0 && keys[i - 1] > key; --i) keys[i] = keys[i - 1];
    keys[i] = key;
    if (size_ == k_) threshold_ = keys[k_ - 1];
  }

  void PlaceRanked(const float* scores, std::span<const uint32_t> ids,
                   const KernelTable& kernels) {
    std::array<uint8_t, kMaxRanked> ranks;
    kernels.rank(scores, ids.size(), ranks.data());
    size_ = std::min(k_, ids.size());
    std::array<ScoredId, kSorted + 1> places;
    std::fill_n(places.begin(), size_, kFree);
    size_t inside = 0;
    for (size_t i = 0; i < ids.size(); ++i) {
      // The last place takes what is not wanted.
      places[std::min<size_t>(ranks[i], size_)] =
          MakeScoredId(scores[i], ids[i]);
      inside += ranks[i] < size_ ? 1 : 0;
    }
    // A rank is the number of smaller scores. Equal scores have the same one:
    // the keys overwrite each other at one place, and as many places behind it
    // stay free, or lie beyond the last and more keys were inside than places
    // are. Then all keys are pushed one by one, which orders them by id.
    const bool ties =
        inside > size_ ||
        std::count(places.begin(), places.begin() + size_, kFree) > 0;
    std::copy_n(places.begin(), size_, keys_.data());
    if (size_ == k_) threshold_ = keys_[k_ - 1];
    if (!ties) return;
    Reset(k_);
    for (size_t i = 0; i < ids.size(); ++i) {
      Push(MakeScoredId(scores[i], ids[i]));
    }
  }

  void Shrink() {
    std::nth_element(keys_.data(), keys_.data() + k_ - 1, keys_.data() + size_);
    size_ = k_;
    threshold_ = keys_[k_ - 1];
  }

  size_t k_ = 1;
  size_t size_ = 0;         // keys that are held
  ScoredId threshold_ = 0;  // keys that are not below it are not wanted
  std::vector<ScoredId> keys_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_LISTS_TOP_K_H_
