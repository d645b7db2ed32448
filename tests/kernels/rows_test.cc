// Arithmetic on rows, against double precision.
#include <cmath>
#include <limits>

#include "server/base/half.h"
#include "tests/kernels/level_test.h"

namespace timbre {
namespace {

class RowsTest : public testing::LevelTest {};

TEST_P(RowsTest, SumsAreExactToRounding) {
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
      ASSERT_NEAR(level().dot(x, y, n), dot, rounding * magnitude) << n;
      ASSERT_NEAR(level().squared_l2(x, y, n), l2, rounding * l2) << n;
      ASSERT_NEAR(level().dot_half(x, z, n), half_dot,
                  rounding * (magnitude + 1))
          << n;
      ASSERT_NEAR(level().squared_l2_half(x, z, n), half_l2, rounding * half_l2)
          << n;
    }
  }
}

TEST_P(RowsTest, EqualInputsAreAtDistanceZero) {
  for (const size_t n : Lengths()) {
    const auto a = Floats(n, 1e5F);
    EXPECT_EQ(level().squared_l2(a.data(), a.data(), n), 0) << n;
  }
}

TEST_P(RowsTest, ConversionsAreThoseOfTheReference) {
  for (const size_t n : Lengths()) {
    for (const size_t offset : kOffsets) {
      auto values = Floats(n + offset, 1000);
      if (n > 2) {
        values[offset] = 1e30F;
        values[offset + 1] = -std::numeric_limits<float>::infinity();
        values[offset + 2] = 3e-8F;
      }
      std::vector<uint16_t> halves(n + 2 * offset + 1, 0xabcd);
      level().float_to_half(values.data() + offset, n, halves.data() + offset);
      std::vector<float> back(n + 2 * offset + 1, 42);
      level().half_to_float(halves.data() + offset, n, back.data() + offset);
      for (size_t i = 0; i < n; ++i) {
        ASSERT_EQ(halves[offset + i], FloatToHalf(values[offset + i])) << n;
        ASSERT_EQ(back[offset + i], HalfToFloat(halves[offset + i])) << n;
      }
      EXPECT_EQ(halves[n + offset], 0xabcd) << "wrote past the end";
      EXPECT_EQ(back[n + offset], 42) << "wrote past the end";
    }
  }
}

TEST_P(RowsTest, NanStaysNan) {
  std::vector<float> values(33, std::nanf(""));
  std::vector<uint16_t> halves(33);
  level().float_to_half(values.data(), 33, halves.data());
  for (const uint16_t half : halves) EXPECT_TRUE(std::isnan(HalfToFloat(half)));
}

// The formula, in double precision.
std::vector<double> Mixed(const std::vector<float>& frame,
                          const std::vector<std::vector<float>>& rows,
                          const std::vector<float>& weights, double rate) {
  std::vector<double> out;
  for (size_t i = 0; i < frame.size(); ++i) {
    double mix = 0;
    for (size_t r = 0; r < rows.size(); ++r) {
      mix += double{weights[r]} * rows[r][i];
    }
    out.push_back(rate * mix + (1 - rate) * frame[i]);
  }
  return out;
}

TEST_P(RowsTest, MixesAreTheWeightedSums) {
  for (const size_t n : Lengths()) {
    for (const size_t count : {0, 1, 3, 8}) {
      const auto frame = Floats(n);
      const auto weights = Floats(count);
      std::vector<std::vector<float>> rows;
      std::vector<std::vector<uint16_t>> halves(count);
      std::vector<const float*> pointers;
      std::vector<const uint16_t*> half_pointers;
      for (size_t r = 0; r < count; ++r) {
        rows.push_back(Floats(n));
        halves[r].resize(n);
        level().float_to_half(rows[r].data(), n, halves[r].data());
        level().half_to_float(halves[r].data(), n, rows[r].data());
      }
      for (size_t r = 0; r < count; ++r) {
        pointers.push_back(rows[r].data());
        half_pointers.push_back(halves[r].data());
      }
      const auto expected = Mixed(frame, rows, weights, 0.75F);
      double norm = 0;
      double shift = 0;
      for (size_t i = 0; i < n; ++i) {
        norm += double{frame[i]} * frame[i];
        shift += (expected[i] - frame[i]) * (expected[i] - frame[i]);
      }
      std::vector<float> out(n + 1, 42);
      std::vector<float> half_out = frame;  // in place
      const MixNorms norms =
          level().mix_rows(frame.data(), pointers.data(), weights.data(), count,
                           0.75F, n, out.data());
      level().mix_rows_half(half_out.data(), half_pointers.data(),
                            weights.data(), count, 0.75F, n, half_out.data());
      for (size_t i = 0; i < n; ++i) {
        ASSERT_NEAR(out[i], expected[i], 1e-5) << n << " " << count;
        ASSERT_EQ(out[i], half_out[i]) << n << " " << count;
      }
      ASSERT_NEAR(norms.squared_norm, norm, 1e-5 * (norm + 1));
      ASSERT_NEAR(norms.squared_shift, shift, 1e-4 * (shift + 1));
      EXPECT_EQ(out[n], 42) << "wrote past the end";
    }
  }
}

TIMBRE_FOR_EVERY_LEVEL(RowsTest);

}  // namespace
}  // namespace timbre
