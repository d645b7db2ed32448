#include "client/load/results.h"

#include <gtest/gtest.h>

namespace timbre::load {
namespace {

TEST(Quantile, IsTheNearestRank) {
  const std::vector<float> sorted = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  EXPECT_EQ(Quantile(sorted, 0), 1);
  EXPECT_EQ(Quantile(sorted, 0.5), 5);
  EXPECT_EQ(Quantile(sorted, 0.51), 6);
  EXPECT_EQ(Quantile(sorted, 0.9), 9);
  EXPECT_EQ(Quantile(sorted, 0.99), 10);
  EXPECT_EQ(Quantile(sorted, 1), 10);
  EXPECT_EQ(Quantile({}, 0.5), 0);
}

TEST(Summarize, TakesAnyOrder) {
  const Percentiles p = Summarize({3, 1, 2});
  EXPECT_EQ(p.p50, 2);
  EXPECT_EQ(p.max, 3);
}

}  // namespace
}  // namespace timbre::load
