#include <algorithm>

#include "tests/kernels/level_test.h"

namespace timbre {
namespace {

class SelectTest : public testing::LevelTest {};

TEST_P(SelectTest, CollectsWhatIsWithinTheLimit) {
  for (const size_t n : Lengths()) {
    for (const size_t offset : kOffsets) {
      auto values = Integers<uint16_t>(n + offset, 0, 65535);
      if (n > 3) values[offset + n / 2] = values[offset + n - 1];
      const uint16_t* const data = values.data() + offset;
      for (const uint16_t limit :
           {uint16_t{0}, uint16_t{32767}, uint16_t{32768}, uint16_t{65535},
            n > 0 ? data[n - 1] : uint16_t{9}}) {
        std::vector<uint32_t> expected;
        for (size_t i = 0; i < n; ++i) {
          if (data[i] <= limit) expected.push_back(static_cast<uint32_t>(i));
        }
        std::vector<uint32_t> positions(n + 1, 77);
        ASSERT_EQ(level().collect(data, n, limit, n, positions.data()),
                  expected.size());
        EXPECT_EQ(positions[n], 77U) << "wrote past the end";
        positions.resize(expected.size());
        ASSERT_EQ(positions, expected) << n << " " << limit;
        const size_t most = expected.size() / 2;
        expected.resize(most);
        positions.assign(most + 1, 77);
        ASSERT_EQ(level().collect(data, n, limit, most, positions.data()),
                  most);
        EXPECT_EQ(positions[most], 77U) << "wrote more than was wanted";
        positions.resize(most);
        ASSERT_EQ(positions, expected) << n << " " << limit;
      }
    }
  }
}

TEST_P(SelectTest, KthSmallestIsThatOfSorting) {
  for (const int most : {0, 3, 700, 65535}) {
    for (const size_t n : Lengths()) {
      if (n == 0) continue;
      const auto values = Integers<uint16_t>(n + 1, 65535 - most, 65535);
      const uint16_t* const data = values.data() + 1;
      std::vector<uint16_t> sorted(data, data + n);
      std::sort(sorted.begin(), sorted.end());
      for (const size_t k : {size_t{1}, (n + 1) / 2, n}) {
        ASSERT_EQ(level().kth_smallest(data, n, k, 0), sorted[k - 1]);
        for (const size_t enough : {k, k + k / 4 + 2}) {
          const auto found = level().kth_smallest(data, n, k, enough);
          ASSERT_EQ(found, reference().kth_smallest(data, n, k, enough));
          const auto within = static_cast<size_t>(
              std::upper_bound(sorted.begin(), sorted.end(), found) -
              sorted.begin());
          ASSERT_GE(within, k);
          if (within > enough) {
            ASSERT_EQ(found, sorted[k - 1]);
          }
        }
      }
    }
  }
}

TEST_P(SelectTest, StridedMinimaAreThoseOfTheReference) {
  for (const size_t lanes : {32, 64, 128, 512}) {
    for (size_t n = 0; n < 3 * lanes; n += n < 100 ? 1 : 13) {
      const auto values = Integers<uint16_t>(n + 1, 0, 65535);
      std::vector<uint16_t> ours(lanes + 1, 5);
      std::vector<uint16_t> theirs = ours;
      level().strided_minima(values.data() + 1, n, lanes, ours.data());
      reference().strided_minima(values.data() + 1, n, lanes, theirs.data());
      ASSERT_EQ(ours, theirs) << lanes << " " << n;
      for (size_t i = 0; i < lanes; ++i) {
        uint16_t least = 65535;
        for (size_t j = i; j < n; j += lanes) {
          least = std::min(least, values[1 + j]);
        }
        ASSERT_EQ(ours[i], least);
      }
    }
  }
}

TEST_P(SelectTest, RanksCountWhatIsBelow) {
  for (size_t n = 0; n <= kMaxRanked; ++n) {
    auto scores = Floats(n + 1);
    scores[0] = scores[n / 2];  // ties share a rank
    if (n > 2) scores[n - 1] = -scores[n - 2];
    std::vector<uint8_t> ranks(n + 1, 99);
    level().rank(scores.data(), n, ranks.data());
    for (size_t i = 0; i < n; ++i) {
      const auto below = std::count_if(
          scores.begin(), scores.begin() + static_cast<std::ptrdiff_t>(n),
          [&](float x) { return x < scores[i]; });
      ASSERT_EQ(ranks[i], below) << n << " " << i;
    }
    EXPECT_EQ(ranks[n], 99) << "wrote past the end";
  }
}

TIMBRE_FOR_EVERY_LEVEL(SelectTest);

}  // namespace
}  // namespace timbre
