#include "server/engine/lists/top_k.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tests/kernels/level_test.h"

namespace timbre {
namespace {

TEST(TopKTest, KeepsTheSmallestInOrderWhateverTheOrderOfPushes) {
  std::mt19937 random(3);
  for (const size_t k : {1, 2, 8, 100, 1000}) {
    for (const size_t n : {0, 1, 7, 100, 5000}) {
      std::vector<ScoredId> all;
      for (uint32_t i = 0; i < n; ++i) {
        all.push_back(MakeScoredId(static_cast<float>(random() % 50), i));
      }
      std::shuffle(all.begin(), all.end(), random);
      TopK top;
      top.Reset(k);
      for (const ScoredId key : all) top.Push(key);
      std::sort(all.begin(), all.end());
      all.resize(std::min(k, n));
      const auto found = top.Finish();
      ASSERT_EQ(std::vector<ScoredId>(found.begin(), found.end()), all)
          << "k " << k << " n " << n;
    }
  }
}

class TopKBatchTest : public testing::LevelTest {};

TEST_P(TopKBatchTest, TiesGoToTheSmallerIdWhereverTheyAre) {
  for (const size_t k : {1, 2, 8, 31, 32, 33}) {
    for (const size_t n : {1, 2, 7, 33, 64, 65}) {
      for (const int most : {0, 4, 1000}) {
        const auto scores = Integers<float>(n, 0, most);
        std::vector<uint32_t> ids(n);
        std::iota(ids.begin(), ids.end(), 5);
        std::shuffle(ids.begin(), ids.end(), random_);
        std::vector<ScoredId> all;
        for (size_t i = 0; i < n; ++i) {
          all.push_back(MakeScoredId(scores[i], ids[i]));
        }
        std::sort(all.begin(), all.end());
        TopK top;
        top.Reset(k);
        top.Push(scores.data(), ids, level());
        // What comes later meets the right threshold.
        const auto more = MakeScoredId(2.0F, 1);
        top.Push(more);
        all.insert(std::lower_bound(all.begin(), all.end(), more), more);
        all.resize(std::min(k, n + 1));
        EXPECT_EQ(top.full(), k <= n + 1);
        if (top.full()) {
          EXPECT_EQ(top.Farthest(), all.back());
        }
        const auto found = top.Finish();
        ASSERT_EQ(std::vector<ScoredId>(found.begin(), found.end()), all)
            << "k " << k << " n " << n << " most " << most;
      }
    }
  }
}

TIMBRE_FOR_EVERY_LEVEL(TopKBatchTest);

TEST(TopKTest, KeysOrderLikeScoresThenIds) {
  const float scores[] = {-INFINITY, -1e30F, -1.5F, -0.0F,   0.0F,
                          1e-40F,    1.5F,   1e30F, INFINITY};
  for (const float a : scores) {
    EXPECT_EQ(ScoreOf(MakeScoredId(a, 5)), a);
    EXPECT_EQ(IdOf(MakeScoredId(a, 0xffffffffU)), 0xffffffffU);
    for (const float b : scores) {
      EXPECT_EQ(MakeScoredId(a, 1) < MakeScoredId(b, 1), a < b);
      if (a == b) {
        EXPECT_LT(MakeScoredId(a, 1), MakeScoredId(b, 2));
      }
    }
  }
}

}  // namespace
}  // namespace timbre
