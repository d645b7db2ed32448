// Directions against what is known of the vectors: their subspace.
#include "server/engine/lists/principal_directions.h"

#include <cmath>

#include "tests/kernels/level_test.h"

namespace timbre {
namespace {

class PrincipalDirectionsTest : public testing::LevelTest {
 protected:
  // `count` vectors of `n` dimensions that differ in the first `rank`.
  std::vector<float> Flat(size_t count, size_t n, size_t rank, float noise) {
    auto vectors = Floats(count * n, noise);
    for (size_t i = 0; i < count; ++i) {
      for (size_t j = 0; j < rank; ++j) vectors[i * n + j] *= 1 / noise;
    }
    return vectors;
  }

  std::vector<float> Directions(const std::vector<float>& vectors, size_t n) {
    return PrincipalDirections(vectors, n, 0.005, level());
  }
};

TEST_P(PrincipalDirectionsTest, AreOrthonormal) {
  const size_t n = 128;
  const auto directions = Directions(Flat(600, n, 50, 0.01F), n);
  ASSERT_EQ(directions.size(), 63 * n);
  for (size_t i = 0; i < 63; ++i) {
    for (size_t j = 0; j <= i; ++j) {
      double product = 0;
      for (size_t s = 0; s < n; ++s) {
        product += double{directions[i * n + s]} * directions[j * n + s];
      }
      EXPECT_NEAR(product, i == j ? 1 : 0, 1e-5) << i << " " << j;
    }
  }
}

TEST_P(PrincipalDirectionsTest, HoldWhatTheVectorsDifferIn) {
  const size_t n = 128;
  for (const size_t rank : {5U, 31U, 63U}) {
    const auto directions = Directions(Flat(600, n, rank, 0.01F), n);
    ASSERT_EQ(directions.size(), (rank <= 31 ? 31 : 63) * n);
    // Unit vectors of the subspace keep their lengths.
    for (size_t j = 0; j < rank; ++j) {
      double held = 0;
      for (size_t i = j; i < directions.size(); i += n) {
        held += double{directions[i]} * directions[i];
      }
      EXPECT_NEAR(held, 1, 0.01) << rank << " " << j;
    }
  }
}

TEST_P(PrincipalDirectionsTest, AreAsFewAsWillDoOrNone) {
  const auto no_structure = Floats(size_t{600} * 128);
  EXPECT_TRUE(Directions(no_structure, 128).empty());
  EXPECT_TRUE(Directions(Flat(600, 128, 64, 0.01F), 128).empty());
  EXPECT_TRUE(Directions(Flat(600, 32, 3, 0.01F), 32).empty());
}

TEST_P(PrincipalDirectionsTest, VectorsOfFewDimensionsLeaveTheRestZero) {
  // Two vectors span two dimensions, not 31.
  const size_t n = 64;
  auto vectors = Flat(2, n, 1, 0.5F);
  const auto directions = Directions(vectors, n);
  ASSERT_EQ(directions.size(), 31 * n);
  for (const float x : directions) EXPECT_TRUE(std::isfinite(x));
  EXPECT_EQ(Directions(std::vector<float>(300 * n), n).size(), 31 * n);
}

TEST_P(PrincipalDirectionsTest, AreTheSameEveryTime) {
  const auto vectors = Flat(300, 128, 40, 0.1F);
  EXPECT_EQ(Directions(vectors, 128), Directions(vectors, 128));
}

TIMBRE_FOR_EVERY_LEVEL(PrincipalDirectionsTest);

}  // namespace
}  // namespace timbre
