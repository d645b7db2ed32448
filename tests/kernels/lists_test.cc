// int8 scoring of centroids: the same integers as the reference, which is
// compared with the formula.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "tests/kernels/level_test.h"

namespace timbre {
namespace {

class ListsTest : public testing::LevelTest {
 protected:
  struct Quantized {
    QuantizedFrame frame;
    std::vector<int8_t> values;
  };

  static Quantized Quantize(const KernelTable& kernels, const float* frame,
                            const float* center, size_t n) {
    Quantized result;
    const size_t padded = (n + 3) / 4 * 4;
    result.values.assign(padded + 1, 99);
    result.frame =
        kernels.quantize(frame, center, n, padded, result.values.data());
    return result;
  }
};

TEST_P(ListsTest, QuantizedFramesAreThoseOfTheReference) {
  for (const size_t n : Lengths()) {
    for (const size_t offset : kOffsets) {
      const auto frame = Floats(n + offset, 3);
      const auto center = Floats(n + offset);
      const auto ours =
          Quantize(level(), frame.data() + offset, center.data() + offset, n);
      const auto theirs = Quantize(reference(), frame.data() + offset,
                                   center.data() + offset, n);
      ASSERT_EQ(ours.values, theirs.values) << n;
      ASSERT_EQ(ours.frame.step, theirs.frame.step) << n;
      ASSERT_EQ(ours.frame.sum, theirs.frame.sum) << n;
      ASSERT_EQ(ours.frame.squared_norm, theirs.frame.squared_norm) << n;
      EXPECT_EQ(ours.values.back(), 99) << "wrote past the end";
    }
  }
}

TEST_P(ListsTest, QuantizedFramesAreWithinHalfAStep) {
  const auto frame = Floats(256, 3);
  const auto center = Floats(256);
  const auto quantized =
      Quantize(level(), frame.data(), center.data(), frame.size());
  double norm = 0;
  int sum = 0;
  for (size_t i = 0; i < frame.size(); ++i) {
    const double x = double{frame[i]} - center[i];
    norm += x * x;
    sum += quantized.values[i];
    EXPECT_NEAR(quantized.frame.step * quantized.values[i], x,
                0.501 * quantized.frame.step);
  }
  EXPECT_EQ(quantized.frame.sum, sum);
  EXPECT_NEAR(quantized.frame.squared_norm, norm, 1e-4 * norm);
}

TEST_P(ListsTest, FramesLikeTheCenterAreZeros) {
  const std::vector<float> frame(37, 1.5F);
  for (const float difference : {0.0F, 1e-35F}) {
    std::vector<float> center = frame;
    center[0] += difference;
    const auto quantized =
        Quantize(level(), frame.data(), center.data(), frame.size());
    EXPECT_EQ(quantized.frame.sum, 0);
    EXPECT_EQ(std::count(quantized.values.begin(), quantized.values.end(), 0),
              40);
  }
}

TEST_P(ListsTest, ScoresAreThoseOfTheFormula) {
  for (const size_t blocks : {1, 2, 3, 4, 5, 9}) {
    for (const size_t groups : {1, 2, 7, 64, 192}) {
      const auto values = Integers<uint8_t>(blocks * groups * 64 + 1, 0, 255);
      const auto frames = Integers<int8_t>(4 * groups * 4 + 1, -127, 127);
      auto steps = Floats(blocks * 16);
      auto biases = Floats(blocks * 16, 1000);
      biases[3] = std::numeric_limits<float>::infinity();
      // Misaligned by one.
      const VectorBlocks centroids{values.data() + 1, steps.data(),
                                   biases.data(), blocks, groups};
      for (size_t count = 1; count <= kFramesPerTile; ++count) {
        std::vector<uint16_t> ours(count * blocks * 16 + 1, 7);
        std::vector<uint16_t> theirs = ours;
        std::array<ListQuery, kFramesPerTile> queries;
        for (size_t q = 0; q < count; ++q) {
          const int8_t* const frame = frames.data() + 1 + q * groups * 4;
          int sum = 0;
          for (size_t i = 0; i < groups * 4; ++i) sum += frame[i];
          queries[q] = {frame, sum,    7.25F,
                        30000, 0.001F, &ours[q * blocks * 16]};
        }
        PrefetchQueue none;
        level().score_lists(centroids, queries.data(), count, none);
        for (size_t q = 0; q < count; ++q) {
          queries[q].scores = &theirs[q * blocks * 16];
        }
        reference().score_lists(centroids, queries.data(), count, none);
        ASSERT_EQ(ours, theirs) << blocks << " " << groups << " " << count;
        EXPECT_EQ(ours.back(), 7) << "wrote past the end";

        for (size_t c = 0; c < blocks * 16; ++c) {
          int dot = 0;
          for (size_t i = 0; i < groups * 4; ++i) {
            const size_t at =
                ((c / 16 * groups + i / 4) * 16 + c % 16) * 4 + i % 4;
            dot += queries[0].frame[i] * (values[1 + at] - 128);
          }
          const double score = biases[c] * 7.25 + 30000 -
                               static_cast<double>(dot) * steps[c] * 0.001;
          ASSERT_NEAR(ours[c], std::clamp(score, 0.0, 65535.0), 1.1);
        }
      }
    }
  }
}

TEST_P(ListsTest, CoordinatesAreThoseOfTheFormula) {
  for (const size_t blocks : {1, 3, 4, 6}) {
    for (const size_t groups : {1, 7, 64}) {
      const auto values = Integers<uint8_t>(blocks * groups * 64 + 1, 0, 255);
      const auto frames = Integers<int8_t>(4 * groups * 4 + 1, -127, 127);
      const auto steps = Floats(blocks * 16);
      // Misaligned by one; biases are not looked at.
      const VectorBlocks vectors{values.data() + 1, steps.data(), nullptr,
                                 blocks, groups};
      for (size_t count = 1; count <= kFramesPerTile; ++count) {
        std::vector<float> ours(count * blocks * 16 + 1, 7);
        std::vector<float> theirs = ours;
        std::array<Projection, kFramesPerTile> projections;
        for (size_t q = 0; q < count; ++q) {
          const int8_t* const frame = frames.data() + 1 + q * groups * 4;
          const int sum = std::accumulate(frame, frame + groups * 4, 0);
          projections[q] = {frame, sum, 0.25F, &ours[q * blocks * 16]};
        }
        level().project(vectors, projections.data(), count);
        for (size_t q = 0; q < count; ++q) {
          projections[q].coordinates = &theirs[q * blocks * 16];
        }
        reference().project(vectors, projections.data(), count);
        ASSERT_EQ(ours, theirs) << blocks << " " << groups << " " << count;
        EXPECT_EQ(ours.back(), 7) << "wrote past the end";

        for (size_t c = 0; c < blocks * 16; ++c) {
          int dot = 0;
          for (size_t i = 0; i < groups * 4; ++i) {
            const size_t at =
                ((c / 16 * groups + i / 4) * 16 + c % 16) * 4 + i % 4;
            dot += projections[0].frame[i] * (values[1 + at] - 128);
          }
          const double expected = static_cast<double>(dot) * steps[c] * 0.25;
          ASSERT_NEAR(ours[c], expected, 1e-6 * std::fabs(expected));
        }
      }
    }
  }
}

TEST_P(ListsTest, WhatIsToBePrefetchedIs) {
  const auto values = Integers<uint8_t>(4 * 16 * 64, 0, 255);
  const std::vector<float> zeros(64);
  const std::vector<int8_t> frame(64);
  std::vector<uint16_t> scores(64);
  const ListQuery query{frame.data(), 0, 1, 0, 1, scores.data()};
  const std::vector<char> memory(100);
  const std::vector<const char*> rows(2, memory.data());
  PrefetchQueue prefetch(rows.data(), rows.size(), 100);
  level().score_lists({values.data(), zeros.data(), zeros.data(), 4, 16},
                      &query, 1, prefetch);
  EXPECT_TRUE(prefetch.empty());
}

TIMBRE_FOR_EVERY_LEVEL(ListsTest);

TEST(PrefetchQueueTest, HoldsEveryLineOfEveryRow) {
  const std::vector<char> memory(1024);
  const std::vector<const char*> rows = {memory.data(), memory.data() + 512};
  PrefetchQueue queue(rows.data(), rows.size(), 130);
  size_t lines = 0;
  for (; !queue.empty(); queue.IssueLine()) ++lines;
  EXPECT_EQ(lines, 6U);
  EXPECT_TRUE(PrefetchQueue(rows.data(), 0, 64).empty());
}

}  // namespace
}  // namespace timbre
