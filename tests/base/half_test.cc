#include "server/base/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace timbre {
namespace {

TEST(HalfTest, EveryFiniteHalfSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    if ((half & 0x7c00U) == 0x7c00U) continue;  // infinity, NaN
    ASSERT_EQ(FloatToHalf(HalfToFloat(half)), half) << bits;
  }
}

TEST(HalfTest, KnownValues) {
  EXPECT_EQ(HalfToFloat(0x3c00), 1.0F);
  EXPECT_EQ(HalfToFloat(0xc000), -2.0F);
  EXPECT_EQ(HalfToFloat(0x7bff), kHalfMax);
  EXPECT_EQ(HalfToFloat(0x0001), std::ldexp(1.0F, -24));
  EXPECT_TRUE(std::isinf(HalfToFloat(0x7c00)));
  EXPECT_TRUE(std::isnan(HalfToFloat(0x7e00)));
}

TEST(HalfTest, TiesGoToEvenNeighbours) {
  EXPECT_EQ(FloatToHalf(1.0F + std::ldexp(1.0F, -11)), 0x3c00);
  EXPECT_EQ(FloatToHalf(1.0F + 3 * std::ldexp(1.0F, -11)), 0x3c02);
}

TEST(HalfTest, LargeMagnitudesSaturateAndNanStaysNan) {
  EXPECT_EQ(FloatToHalf(1e30F), 0x7bff);
  EXPECT_EQ(FloatToHalf(-65520.0F), 0xfbff);
  EXPECT_EQ(FloatToHalf(std::numeric_limits<float>::infinity()), 0x7bff);
  EXPECT_TRUE(std::isnan(
      HalfToFloat(FloatToHalf(std::numeric_limits<float>::quiet_NaN()))));
}

}  // namespace
}  // namespace timbre
