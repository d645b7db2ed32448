// Tests that every SIMD level of this CPU has to pass.
#ifndef TIMBRE_TESTS_KERNELS_LEVEL_TEST_H_
#define TIMBRE_TESTS_KERNELS_LEVEL_TEST_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "server/kernels/kernels.h"

namespace timbre::testing {

class LevelTest : public ::testing::TestWithParam<const KernelTable*> {
 protected:
  const KernelTable& level() const { return *GetParam(); }
  static const KernelTable& reference() { return *FindKernels("portable"); }

  // Offsets make pointers misaligned for every vector width.
  static constexpr size_t kOffsets[] = {0, 1, 3};

  std::vector<float> Floats(size_t n, float scale = 1) {
    std::normal_distribution<float> normal(0, scale);
    std::vector<float> values(n);
    for (float& x : values) x = normal(random_);
    return values;
  }

  template <typename T>
  std::vector<T> Integers(size_t n, int low, int high) {
    std::uniform_int_distribution<int> uniform(low, high);
    std::vector<T> values(n);
    for (T& x : values) x = static_cast<T>(uniform(random_));
    return values;
  }

  // Every tail of every vector width, and the lengths that matter.
  static std::vector<size_t> Lengths() {
    std::vector<size_t> lengths;
    for (size_t n = 0; n <= 130; ++n) lengths.push_back(n);
    for (const size_t n : {255, 256, 257, 767, 768, 769, 4096}) {
      lengths.push_back(n);
    }
    return lengths;
  }

  std::mt19937 random_{7};
};

#define TIMBRE_FOR_EVERY_LEVEL(test)                         \
  INSTANTIATE_TEST_SUITE_P(                                  \
      Levels, test, ::testing::ValuesIn(SupportedKernels()), \
      [](const auto& level) { return std::string(level.param->name); })

}  // namespace timbre::testing

#endif  // TIMBRE_TESTS_KERNELS_LEVEL_TEST_H_
