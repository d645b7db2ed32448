// Look-up tables and code scans: the same integers as plain arithmetic.
#include <algorithm>
#include <array>
#include <cmath>

#include "tests/kernels/level_test.h"

namespace timbre {
namespace {

struct Codebook {
  CodebookGroups groups;
  std::vector<float> values;
};

class CodesTest : public testing::LevelTest {
 protected:
  Codebook RandomCodebook(size_t m, size_t width) {
    Codebook book{.groups = {nullptr, GroupsOf(m), width, m, 2, false},
                  .values = {}};
    const size_t entry_floats = (1 + width) * kSubQuantizersPerGroup;
    book.values.assign(book.groups.groups * kEntries * entry_floats, 0);
    const auto random = Floats(m * kEntries * (1 + width), 2);
    size_t next = 0;
    for (size_t i = 0; i < m; ++i) {
      for (size_t entry = 0; entry < kEntries; ++entry) {
        for (size_t s = 0; s <= width; ++s) {
          const size_t group = i / kSubQuantizersPerGroup;
          book.values[(group * kEntries + entry) * entry_floats +
                      s * kSubQuantizersPerGroup +
                      LaneOf(i % kSubQuantizersPerGroup)] = random[next++];
        }
      }
    }
    book.groups.values = book.values.data();
    return book;
  }

  static std::vector<std::vector<uint8_t>> Tables(
      const KernelTable& kernels, const CodebookGroups& codebook,
      const std::vector<std::vector<float>>& frames) {
    std::vector<std::vector<uint8_t>> tables(frames.size());
    std::array<const float*, 2> queries{};
    std::array<uint8_t*, 2> out{};
    for (size_t i = 0; i < frames.size(); ++i) {
      tables[i].resize(codebook.groups * kSubQuantizersPerGroup * kEntries);
      queries[i] = frames[i].data();
      out[i] = tables[i].data();
    }
    std::vector<float> work(2 * TableWork(codebook));
    kernels.fill_tables(codebook, queries.data(), frames.size(), work.data(),
                        out.data());
    return tables;
  }

  // constant - sum of 2 * frame * number: what an entry stands for.
  static double Partial(const Codebook& book, const std::vector<float>& frame,
                        size_t i, size_t entry) {
    const size_t width = book.groups.width;
    const float* const at =
        &book.values[(i / 16 * kEntries + entry) * (1 + width) * 16 +
                     LaneOf(i % 16)];
    double sum = at[0];
    for (size_t s = 0; s < width; ++s) {
      sum -= 2.0 * frame[i * width + s] * at[(1 + s) * 16];
    }
    return sum;
  }
};

TEST_P(CodesTest, TablesAreThoseOfTheReference) {
  for (const size_t m : {1, 2, 7, 16, 17, 64, 128, 384}) {
    for (const size_t width : {1, 2, 3, 8}) {
      const Codebook book = RandomCodebook(m, width);
      const std::vector<std::vector<float>> frames = {Floats(m * width),
                                                      Floats(m * width, 5)};
      const auto ours = Tables(level(), book.groups, frames);
      ASSERT_EQ(ours, Tables(reference(), book.groups, frames))
          << m << " " << width;
      Codebook mirrored = book;
      mirrored.groups.mirrored = true;
      ASSERT_EQ(Tables(level(), mirrored.groups, frames),
                Tables(reference(), mirrored.groups, frames))
          << m << " " << width;
      // Alone as together.
      ASSERT_EQ(ours[1], Tables(level(), book.groups, {frames[1]})[0]);
    }
  }
}

TEST_P(CodesTest, TablesOrderAsDistancesDo) {
  for (const size_t m : {2, 128, 384}) {
    const Codebook book = RandomCodebook(m, 2);
    const std::vector<float> frame = Floats(2 * m);
    const auto tables = Tables(level(), book.groups, {frame})[0];
    double widest = 0;
    double total = 0;
    size_t most = 0;
    std::vector<double> least(m, 1e30);
    for (size_t i = 0; i < m; ++i) {
      double largest = -1e30;
      for (size_t entry = 0; entry < kEntries; ++entry) {
        const double x = Partial(book, frame, i, entry);
        least[i] = std::min(least[i], x);
        largest = std::max(largest, x);
      }
      widest = std::max(widest, largest - least[i]);
      total += largest - least[i];
      most += *std::max_element(&tables[i * 16], &tables[i * 16] + 16);
    }
    const double scale = std::min(255 / widest, (65534.0 - m) / total);
    for (size_t i = 0; i < m; ++i) {
      for (size_t entry = 0; entry < kEntries; ++entry) {
        ASSERT_NEAR(tables[i * 16 + entry],
                    (Partial(book, frame, i, entry) - least[i]) * scale, 0.51);
      }
    }
    EXPECT_LE(most, 65534U);
  }
}

TEST_P(CodesTest, EntriesThatAreAlikeMakeTablesOfZeros) {
  Codebook book = RandomCodebook(20, 2);
  std::fill(book.values.begin(), book.values.end(), 1.0F);
  const auto tables = Tables(level(), book.groups, {Floats(40)})[0];
  EXPECT_EQ(std::count(tables.begin(), tables.end(), 0),
            static_cast<std::ptrdiff_t>(tables.size()));
}

TEST_P(CodesTest, ScansAddUpTheTables) {
  for (const size_t octets : {1, 2, 3, 8, 16, 48}) {
    for (const size_t count : {0, 1, 2, 3, 4, 5, 7, 9}) {
      for (const size_t offset : kOffsets) {
        const size_t digits = octets * kDigitsPerOctet;
        const auto tables = Integers<uint8_t>(16 * digits + offset, 0, 255);
        const auto codes =
            Integers<uint8_t>(count * kCodesPerBlock * digits, 0, 15);
        std::vector<uint8_t> blocks(count * octets * kOctetBytes + offset);
        std::vector<uint16_t> expected(count * kCodesPerBlock);
        for (size_t i = 0; i < expected.size(); ++i) {
          for (size_t r = 0; r < digits; ++r) {
            const uint8_t digit = codes[i * digits + r];
            const size_t octet = i / 16 * octets + r / 8;
            blocks[offset + octet * 64 + i % 16 * 4 + r % 4] |=
                static_cast<uint8_t>(digit << (r % 8 < 4 ? 0 : 4));
            expected[i] = static_cast<uint16_t>(
                expected[i] + tables[offset + 16 * r + digit]);
          }
        }
        level().arrange_codes(blocks.data() + offset, blocks.size() - offset);
        std::vector<uint16_t> sums(expected.size() + 1, 7);
        level().scan_codes(tables.data() + offset, blocks.data() + offset,
                           count, octets, sums.data());
        EXPECT_EQ(sums.back(), 7) << "wrote past the end";
        sums.pop_back();
        ASSERT_EQ(sums, expected) << octets << " " << count << " " << offset;
      }
    }
  }
}

TEST_P(CodesTest, DigitsAreThoseOfTheNearestEntriesTiesToTheFirst) {
  for (const size_t width : {1, 2, 3, 8}) {
    for (const size_t count : {0, 16, 48}) {
      for (const size_t offset : kOffsets) {
        const size_t stride = count + offset;
        // Small integers: many ties, and no rounding.
        const auto values = Integers<int>(width * stride + offset, -3, 3);
        const std::vector<float> points(values.begin(), values.end());
        const auto numbers = Integers<int>(width * kEntries, -2, 2);
        const std::vector<float> entries(numbers.begin(), numbers.end());
        std::vector<uint8_t> expected(count);
        for (size_t i = 0; i < count; ++i) {
          int best = 1 << 30;
          for (size_t entry = 0; entry < kEntries; ++entry) {
            int distance = 0;
            for (size_t s = 0; s < width; ++s) {
              const int x = values[offset + s * stride + i] -
                            numbers[s * kEntries + entry];
              distance += x * x;
            }
            if (distance >= best) continue;
            best = distance;
            expected[i] = static_cast<uint8_t>(entry);
          }
        }
        std::vector<uint8_t> digits(count + 1, 77);
        level().nearest_entries(points.data() + offset, stride, count, width,
                                entries.data(), digits.data());
        EXPECT_EQ(digits.back(), 77) << "wrote past the end";
        digits.pop_back();
        ASSERT_EQ(digits, expected) << width << " " << count << " " << offset;
      }
    }
  }
}

TIMBRE_FOR_EVERY_LEVEL(CodesTest);

}  // namespace
}  // namespace timbre
