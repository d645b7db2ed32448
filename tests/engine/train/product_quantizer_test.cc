// Codes against their definition.
#include "server/engine/train/product_quantizer.h"

#include <cmath>
#include <limits>
#include <set>

#include "tests/support/testing.h"

namespace timbre {
namespace {

using testing::NullObserver;
using testing::Speech;

ProductQuantizer Train(const std::vector<float>& rows, uint32_t dimension,
                       uint32_t pq_m, int threads = 2) {
  NullObserver observer;
  BuildTeam team(threads, observer);
  auto quantizer =
      ProductQuantizer::Train(rows, dimension, pq_m, 1, BestKernels(), team);
  EXPECT_TRUE(quantizer.ok());
  return *std::move(quantizer);
}

// Digit m of a code.
uint32_t DigitOf(const uint32_t* code, size_t m) {
  return code[m / 8] >> (m % 4 * 8 + m % 8 / 4 * 4) & 15U;
}

// The squared distance of a piece to an entry.
double Distance(const std::vector<float>& books, size_t width, size_t m,
                uint32_t entry, const float* row) {
  double sum = 0;
  for (size_t s = 0; s < width; ++s) {
    const double x =
        double{row[m * width + s]} - books[(m * kEntries + entry) * width + s];
    sum += x * x;
  }
  return sum;
}

TEST(ProductQuantizerTest, CodesNameTheNearestEntries) {
  for (const uint32_t pq_m : {1U, 7U, 16U, 56U}) {
    const auto frames = Speech(333, 112, 1);
    const auto quantizer = Train(frames.data, 112, pq_m);
    const auto books = quantizer.Codebooks();
    const size_t width = 112 / pq_m;
    const size_t octets = OctetsOf(pq_m);
    std::vector<uint32_t> words(frames.rows * octets, ~0U);
    EncodeScratch scratch;
    quantizer.Encode(frames.data.data(), frames.rows, scratch, words.data());
    for (size_t i = 0; i < frames.rows; ++i) {
      const float* const row = &frames.data[i * 112];
      for (size_t m = 0; m < octets * 8; ++m) {
        const uint32_t digit = DigitOf(&words[i * octets], m);
        if (m >= pq_m) {
          ASSERT_EQ(digit, 0U);
          continue;
        }
        double least = std::numeric_limits<double>::infinity();
        for (uint32_t entry = 0; entry < kEntries; ++entry) {
          least = std::min(least, Distance(books, width, m, entry, row));
        }
        ASSERT_NEAR(Distance(books, width, m, digit, row), least,
                    1e-5 * (1 + least));
      }
    }
  }
}

TEST(ProductQuantizerTest, SixteenDifferentPiecesAreKeptExactly) {
  std::vector<float> rows;
  for (int i = 0; i < 160; ++i) {
    rows.push_back(static_cast<float>(i % 16));
    rows.push_back(static_cast<float>(i % 16 * 3));
  }
  const auto quantizer = Train(rows, 2, 1);
  const auto books = quantizer.Codebooks();
  std::vector<uint32_t> words(160);
  EncodeScratch scratch;
  quantizer.Encode(rows.data(), 160, scratch, words.data());
  for (size_t i = 0; i < 160; ++i) {
    EXPECT_EQ(Distance(books, 2, 0, words[i], &rows[2 * i]), 0);
  }
}

TEST(ProductQuantizerTest, SilenceLeavesEntriesForTheRest) {
  // 98 % of one row; the others have 20 different pieces.
  std::vector<float> rows;
  for (int i = 0; i < 4000; ++i) {
    const int piece = i % 50 == 0 ? 1 + i / 50 % 20 : 0;
    rows.push_back(static_cast<float>(piece));
    rows.push_back(static_cast<float>(piece * piece % 7));
  }
  const auto quantizer = Train(rows, 2, 1);
  std::vector<uint32_t> words(4000);
  EncodeScratch scratch;
  quantizer.Encode(rows.data(), 4000, scratch, words.data());
  EXPECT_EQ(std::set<uint32_t>(words.begin(), words.end()).size(), kEntries);
}

TEST(ProductQuantizerTest, FewerRowsThanEntriesWork) {
  const auto frames = Speech(3, 32, 1);
  const auto quantizer = Train(frames.data, 32, 16);
  for (const float x : quantizer.Codebooks()) EXPECT_TRUE(std::isfinite(x));
}

TEST(ProductQuantizerTest, ThreadsChangeNothing) {
  const auto frames = Speech(2000, 64, 1);
  EXPECT_EQ(Train(frames.data, 64, 32, 1).Codebooks(),
            Train(frames.data, 64, 32, 5).Codebooks());
}

}  // namespace
}  // namespace timbre
