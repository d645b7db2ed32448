#include "server/engine/top_k.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

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
