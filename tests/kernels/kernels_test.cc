#include "server/kernels/kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "server/base/half.h"
#include "server/kernels/tables.h"

namespace timbre {
namespace {

// Every table that this CPU runs, against the portable one, which is compared
// with arithmetic in double precision.
class KernelsTest : public ::testing::TestWithParam<const KernelTable*> {
 protected:
  const KernelTable& table() const { return *GetParam(); }

  // Offsets make the pointers misaligned for every vector width.
  static constexpr size_t kOffsets[] = {0, 1, 3};
  std::mt19937 random_{7};

  std::vector<float> Floats(size_t n, float scale = 1) {
    std::normal_distribution<float> normal(0, scale);
    std::vector<float> values(n);
    for (float& x : values) x = normal(random_);
    return values;
  }
};

std::vector<size_t> Lengths() {
  std::vector<size_t> lengths;
  for (size_t n = 0; n <= 130; ++n) lengths.push_back(n);
  for (const size_t n : {255, 256, 257, 767, 768, 769, 4096}) {
    lengths.push_back(n);
  }
  return lengths;
}

TEST_P(KernelsTest, SumsAreExactToRounding) {
  for (const size_t n : Lengths()) {
    for (const size_t offset : kOffsets) {
      const auto a = Floats(n + offset);
      const auto b = Floats(n + offset);
      std::vector<uint16_t> halves(n + offset);
      double dot = 0;
      double l2 = 0;
      double magnitude = 0;
      double half_dot = 0;
      double half_l2 = 0;
      for (size_t i = offset; i < n + offset; ++i) {
        halves[i] = FloatToHalf(b[i]);
        const double h = HalfToFloat(halves[i]);
        dot += double{a[i]} * b[i];
        l2 += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
        half_dot += a[i] * h;
        half_l2 += (a[i] - h) * (a[i] - h);
        magnitude += std::fabs(double{a[i]} * b[i]);
      }
      const double rounding = static_cast<double>(n + 1) * 0x1p-23;
      const float* const x = a.data() + offset;
      const float* const y = b.data() + offset;
      const uint16_t* const z = halves.data() + offset;
      ASSERT_NEAR(table().dot(x, y, n), dot, rounding * magnitude) << n;
      ASSERT_NEAR(table().squared_l2(x, y, n), l2, rounding * l2) << n;
      ASSERT_NEAR(table().dot_half(x, z, n), half_dot,
                  rounding * (magnitude + 1))
          << n;
      ASSERT_NEAR(table().squared_l2_half(x, z, n), half_l2, rounding * half_l2)
          << n;
    }
  }
}

TEST_P(KernelsTest, EqualInputsAreAtDistanceZero) {
  for (const size_t n : Lengths()) {
    const auto a = Floats(n, 1e5F);
    EXPECT_EQ(table().squared_l2(a.data(), a.data(), n), 0) << n;
  }
}

TEST_P(KernelsTest, ConversionsAreThoseOfTheReference) {
  for (const size_t n : Lengths()) {
    for (const size_t offset : kOffsets) {
      auto values = Floats(n + offset, 1000);
      if (n > 2) {
        values[offset] = 1e30F;
        values[offset + 1] = -std::numeric_limits<float>::infinity();
        values[offset + 2] = 3e-8F;
      }
      std::vector<uint16_t> halves(n + 2 * offset + 1, 0xabcd);
      table().float_to_half(values.data() + offset, n, halves.data() + offset);
      std::vector<float> back(n + 2 * offset + 1, 42);
      table().half_to_float(halves.data() + offset, n, back.data() + offset);
      for (size_t i = 0; i < n; ++i) {
        ASSERT_EQ(halves[offset + i], FloatToHalf(values[offset + i])) << n;
        ASSERT_EQ(back[offset + i], HalfToFloat(halves[offset + i])) << n;
      }
      EXPECT_EQ(halves[n + offset], 0xabcd) << "wrote past the end";
      EXPECT_EQ(back[n + offset], 42) << "wrote past the end";
    }
  }
}

TEST_P(KernelsTest, NanStaysNan) {
  std::vector<float> values(33, std::nanf(""));
  std::vector<uint16_t> halves(33);
  table().float_to_half(values.data(), 33, halves.data());
  for (const uint16_t half : halves) EXPECT_TRUE(std::isnan(HalfToFloat(half)));
}

TEST_P(KernelsTest, ScanCodesEqualsTheReference) {
  std::uniform_int_distribution<int> byte(0, 255);
  for (const size_t m : {4, 8, 12, 64, 128, 384}) {
    for (const size_t count : {0, 1, 2, 5}) {
      for (const size_t offset : kOffsets) {
        std::vector<uint8_t> tables(16 * m + offset);
        std::vector<uint8_t> blocks(16 * m * count + offset);
        for (uint8_t& x : tables) x = static_cast<uint8_t>(byte(random_));
        for (uint8_t& x : blocks) x = static_cast<uint8_t>(byte(random_));
        std::vector<uint16_t> sums(32 * count + 1, 7);
        table().scan_codes(tables.data() + offset, blocks.data() + offset,
                           count, m, sums.data());
        for (size_t i = 0; i < 32 * count; ++i) {
          unsigned sum = 0;
          for (size_t r = 0; r < m; ++r) {
            const size_t j = i % 32;
            const uint8_t pair =
                blocks[offset + (i / 32 * m + r) * 16 + j % 16];
            sum += tables[offset + 16 * r + (j < 16 ? pair & 15 : pair >> 4)];
          }
          ASSERT_EQ(sums[i], sum % 65536) << "m " << m << " code " << i;
        }
        EXPECT_EQ(sums[32 * count], 7) << "wrote past the end";
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, KernelsTest,
                         ::testing::ValuesIn(SupportedKernels()),
                         [](const auto& test) {
                           return std::string(test.param->name);
                         });

TEST(KernelDispatchTest, PortableIsAlwaysThereAndUnknownNamesAreNot) {
  EXPECT_EQ(SupportedKernels().back(), &kPortableKernels);
  EXPECT_EQ(FindKernels("portable"), &kPortableKernels);
  EXPECT_EQ(FindKernels("neon512"), nullptr);
  EXPECT_EQ(&BestKernels(), SupportedKernels().front());
}

}  // namespace
}  // namespace timbre
