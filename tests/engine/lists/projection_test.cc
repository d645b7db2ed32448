// What the projection promises, in double precision: inner products of
// projected vectors are no smaller than those of the vectors, but for rounding.
#include "server/engine/lists/projection.h"

#include <algorithm>
#include <cmath>

#include "tests/kernels/level_test.h"

namespace timbre {
namespace {

class ProjectionTest : public testing::LevelTest {
 protected:
  static constexpr size_t kVectors = 300;

  // Vectors that differ in the first `rank` dimensions, and by some noise.
  std::vector<float> Flat(size_t count, size_t n, size_t rank, float noise) {
    auto vectors = Floats(count * n, noise);
    const auto strong = Floats(count * rank);
    for (size_t i = 0; i < count; ++i) {
      for (size_t j = 0; j < rank; ++j) {
        vectors[i * n + j] += strong[i * rank + j];
      }
    }
    return vectors;
  }

  // The coordinates of one frame, and what to allow for in inner products with
  // vectors of length 1.
  struct Frame {
    std::vector<float> coordinates;
    double error;
  };

  Frame Project(const SubspaceProjection& projection,
                const std::vector<float>& frame) {
    const std::vector<float> zeros(frame.size());
    std::vector<int8_t> values(frame.size());
    const QuantizedFrame quantized = level().quantize(
        frame.data(), zeros.data(), frame.size(), values.size(), values.data());
    Frame result{std::vector<float>(projection.size()), 0};
    projection.Project(&quantized, values.data(), 1, result.coordinates.data());
    result.error = kDeviations * std::sqrt(projection.ErrorOf(quantized) / 12);
    return result;
  }

  static double Dot(const float* a, const float* b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i) sum += double{a[i]} * b[i];
    return sum;
  }

  void CheckBounds(const std::vector<float>& vectors, size_t n,
                   const Projected& projected,
                   const std::vector<float>& frame) {
    const Frame f = Project(projected.projection, frame);
    const size_t size = projected.projection.size();
    for (size_t i = 0; i < kVectors; ++i) {
      const float* const v = &vectors[i * n];
      const float* const r = &projected.vectors[i * size];
      const double norm = std::sqrt(Dot(r, r, size));
      ASSERT_GE(Dot(r, f.coordinates.data(), size) + f.error * norm,
                Dot(v, frame.data(), n))
          << "vector " << i << " of " << n << " dimensions";
    }
  }
};

TEST_P(ProjectionTest, InnerProductsAreBounds) {
  for (const size_t n : {128, 256, 768}) {
    const auto vectors = Flat(kVectors, n, 40, 0.03F);
    const auto projected = SubspaceProjection::Find(vectors, n, level());
    ASSERT_TRUE(projected.has_value());
    EXPECT_LE(projected->projection.size(), n / 2);
    EXPECT_EQ(projected->projection.size() % 32, 0U);
    for (int i = 0; i < 20; ++i) {
      // Within the subspace, about as often outside, and nothing but outside.
      CheckBounds(vectors, n, *projected, Flat(1, n, 40, 0.01F));
      CheckBounds(vectors, n, *projected, Flat(1, n, 40, 1));
      CheckBounds(vectors, n, *projected, Flat(1, n, 0, 1));
    }
    // One of the vectors, and one with a number that dwarfs the others.
    std::vector<float> one(vectors.begin(), vectors.begin() + n);
    CheckBounds(vectors, n, *projected, one);
    one[n - 1] += 300;
    CheckBounds(vectors, n, *projected, one);
  }
}

TEST_P(ProjectionTest, TheMoreDirectionsHoldTheTighterTheBoundsAre) {
  const auto vectors = Flat(kVectors, 128, 20, 0);
  const auto projected = SubspaceProjection::Find(vectors, 128, level());
  ASSERT_TRUE(projected.has_value());
  const auto frame = Flat(1, 128, 20, 0);
  const Frame f = Project(projected->projection, frame);
  const size_t size = projected->projection.size();
  for (size_t i = 0; i < kVectors; ++i) {
    const double exact = Dot(&vectors[i * 128], frame.data(), 128);
    EXPECT_NEAR(Dot(&projected->vectors[i * size], f.coordinates.data(), size),
                exact, 1)
        << i;
  }
}

TEST_P(ProjectionTest, VectorsWithoutStructureAreLeftAlone) {
  EXPECT_FALSE(SubspaceProjection::Find(Floats(kVectors * 128), 128, level()));
  // As many directions as there are samples hold all of these, not of the rest.
  const auto vectors = Flat(1024, 768, 31, 0.2F);
  EXPECT_FALSE(SubspaceProjection::Find(vectors, 768, level()));
  // Too few of them, or too short, to be worth it.
  EXPECT_FALSE(
      SubspaceProjection::Find(Flat(100, 128, 3, 0.01F), 128, level()));
  EXPECT_FALSE(
      SubspaceProjection::Find(Flat(kVectors, 64, 3, 0.01F), 64, level()));
}

TIMBRE_FOR_EVERY_LEVEL(ProjectionTest);

}  // namespace
}  // namespace timbre
