#include "server/engine/lists/select.h"

#include <algorithm>

#include "tests/kernels/level_test.h"

namespace timbre {
namespace {

class SelectSmallestTest : public testing::LevelTest {
 protected:
  void Check(const std::vector<uint16_t>& values, size_t k) {
    std::vector<uint32_t> positions(std::max(values.size(), kMaxSurvivors));
    const Selection found = SelectSmallest(level(), values.data(),
                                           values.size(), k, positions.data());
    std::vector<uint16_t> sorted = values;
    std::sort(sorted.begin(), sorted.end());
    const uint32_t kth = k < sorted.size() ? sorted[k - 1] : 65535;
    if (found.count > k) {
      ASSERT_EQ(found.kth, kth);
    } else if (k < sorted.size()) {
      // Nothing lies between the k-th value and what is returned.
      ASSERT_GE(found.kth, kth);
      ASSERT_EQ(std::upper_bound(sorted.begin(), sorted.end(), found.kth),
                std::upper_bound(sorted.begin(), sorted.end(),
                                 static_cast<uint16_t>(kth)));
    }
    std::vector<uint32_t> expected;
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i] <= kth) {
        expected.push_back(static_cast<uint32_t>(i));
      }
    }
    positions.resize(found.count);
    ASSERT_EQ(positions, expected) << values.size() << " values, k " << k;
  }
};

TEST_P(SelectSmallestTest, FindsWhatSortingFinds) {
  for (const size_t n : {1, 2, 31, 33, 100, 511, 512, 700, 2048, 5000}) {
    for (const size_t k : {1, 2, 8, 32, 48, 49, 192, 193, 1000, 5000}) {
      Check(Integers<uint16_t>(n, 0, 65535), k);
      Check(Integers<uint16_t>(n, 0, 300), k);
    }
  }
}

TEST_P(SelectSmallestTest, TiesAreAllThere) {
  for (const int most : {0, 1, 3}) {
    for (const size_t n : {40, 600, 4000}) {
      for (const size_t k : {1, 8, 32, 100}) {
        auto values = Integers<uint16_t>(n, 0, most);
        Check(values, k);
        for (uint16_t& x : values) x = static_cast<uint16_t>(65535 - x);
        Check(values, k);
      }
    }
  }
}

TIMBRE_FOR_EVERY_LEVEL(SelectSmallestTest);

}  // namespace
}  // namespace timbre
