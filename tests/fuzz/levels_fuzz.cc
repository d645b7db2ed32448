// Every SIMD level on the same arbitrary bytes: integers must be the same, and
// floats within rounding of the portable ones.
//
// A libFuzzer target with -DTIMBRE_FUZZERS=ON and clang (script/test --fuzz);
// otherwise linked with run_random.cc, which feeds it random bytes.
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <vector>

#include "server/kernels/kernels.h"
#include "tests/fuzz/fuzzing.h"

namespace timbre {
namespace {

using fuzz::Bytes;

// Finite, of magnitudes that frames may have.
std::vector<float> Floats(Bytes& bytes, size_t count) {
  auto values = bytes.Many<float>(count);
  for (float& x : values) {
    if (!(std::fabs(x) <= 1e15F)) x = std::ldexp(1.0F, x > 0 ? 3 : -3);
  }
  return values;
}

void Require(bool good, const KernelTable& level, const char* what) {
  fuzz::Require(good, what, level.name);
}

const KernelTable& Portable() { return *SupportedKernels().back(); }

void Quantized(Bytes& bytes) {
  const size_t n = bytes.Number(0, 300);
  const auto frame = Floats(bytes, n);
  const auto center = Floats(bytes, n);
  const size_t padded = (n + 3) / 4 * 4;
  std::vector<int8_t> expected(padded);
  const auto reference = Portable().quantize(frame.data(), center.data(), n,
                                             padded, expected.data());
  for (const KernelTable* const level : SupportedKernels()) {
    std::vector<int8_t> values(padded);
    const auto found =
        level->quantize(frame.data(), center.data(), n, padded, values.data());
    Require(values == expected && found.sum == reference.sum &&
                found.step == reference.step &&
                found.squared_norm == reference.squared_norm,
            *level, "quantize");
  }
}

void Scores(Bytes& bytes) {
  const size_t blocks = bytes.Number(1, 9);
  const size_t groups = bytes.Number(1, 20);
  const size_t count = bytes.Number(1, kFramesPerTile);
  const auto values = bytes.Many<uint8_t>(blocks * groups * 64);
  auto frames = bytes.Many<int8_t>(count * groups * 4);
  const auto steps = Floats(bytes, blocks * 16);
  const auto biases = Floats(bytes, blocks * 16);
  std::vector<uint16_t> expected;
  for (size_t i = SupportedKernels().size(); i-- > 0;) {
    const KernelTable& level = *SupportedKernels()[i];
    std::vector<uint16_t> scores(count * blocks * 16);
    std::array<ListQuery, kFramesPerTile> queries;
    for (size_t q = 0; q < count; ++q) {
      int8_t* const frame = &frames[q * groups * 4];
      int32_t sum = 0;
      for (size_t j = 0; j < groups * 4; ++j) {
        frame[j] = std::max<int8_t>(frame[j], -127);
        sum += frame[j];
      }
      queries[q] = {frame, sum, 3.5F, 9000, 0.25F, &scores[q * blocks * 16]};
    }
    PrefetchQueue none;
    level.score_lists(
        {values.data(), steps.data(), biases.data(), blocks, groups},
        queries.data(), count, none);
    if (&level == &Portable()) expected = scores;
    Require(scores == expected, level, "score_lists");
  }
}

void Coordinates(Bytes& bytes) {
  const size_t blocks = bytes.Number(1, 9);
  const size_t groups = bytes.Number(1, 20);
  const size_t count = bytes.Number(1, kFramesPerTile);
  const auto values = bytes.Many<uint8_t>(blocks * groups * 64);
  const auto frames = bytes.Many<int8_t>(count * groups * 4);
  const auto steps = Floats(bytes, blocks * 16);
  std::vector<float> expected;
  for (size_t i = SupportedKernels().size(); i-- > 0;) {
    const KernelTable& level = *SupportedKernels()[i];
    std::vector<float> found(count * blocks * 16);
    std::array<Projection, kFramesPerTile> projections;
    for (size_t q = 0; q < count; ++q) {
      const int8_t* const frame = &frames[q * groups * 4];
      projections[q] = {frame, std::accumulate(frame, frame + groups * 4, 0),
                        0.25F, &found[q * blocks * 16]};
    }
    level.project({values.data(), steps.data(), nullptr, blocks, groups},
                  projections.data(), count);
    if (&level == &Portable()) expected = found;
    Require(found == expected, level, "project");
  }
}

void Selections(Bytes& bytes) {
  const size_t n = bytes.Number(0, 400);
  const auto values = bytes.Many<uint16_t>(n);
  const auto limit = bytes.Take<uint16_t>();
  const size_t most = bytes.Number(0, 400);
  std::vector<uint32_t> expected;
  for (size_t i = SupportedKernels().size(); i-- > 0;) {
    const KernelTable& level = *SupportedKernels()[i];
    std::vector<uint32_t> found(std::max(n, most));
    found.resize(level.collect(values.data(), n, limit, most, found.data()));
    const size_t k = most % (n + 1);
    if (k > 0) {
      found.push_back(level.kth_smallest(values.data(), n, k, k + most % 7));
    }
    std::array<uint16_t, 128> minima{};
    level.strided_minima(values.data(), n, minima.size(), minima.data());
    found.insert(found.end(), minima.begin(), minima.end());
    if (&level == &Portable()) expected = found;
    Require(found == expected, level, "selection");
  }
}

void Codes(Bytes& bytes) {
  const size_t m = bytes.Number(1, 40);
  const size_t width = bytes.Number(1, 4);
  const size_t count = bytes.Number(1, 7);
  CodebookGroups book{nullptr, GroupsOf(m), width,
                      m,       2,           bytes.Number(0, 1) == 1};
  const auto values = Floats(bytes, book.groups * kEntries * (1 + width) * 16);
  book.values = values.data();
  const auto frame = Floats(bytes, m * width);
  const float* const frames[] = {frame.data()};
  const auto blocks = bytes.Many<uint8_t>(count * OctetsOf(m) * kOctetBytes);
  std::vector<uint8_t> expected_tables;
  std::vector<uint16_t> expected_sums;
  for (size_t i = SupportedKernels().size(); i-- > 0;) {
    const KernelTable& level = *SupportedKernels()[i];
    std::vector<uint8_t> tables(book.groups * 16 * kEntries);
    std::vector<float> work(2 * TableWork(book));
    uint8_t* const out[] = {tables.data()};
    level.fill_tables(book, frames, 1, work.data(), out);
    auto arranged = blocks;
    level.arrange_codes(arranged.data(), arranged.size());
    std::vector<uint16_t> sums(count * kCodesPerBlock);
    level.scan_codes(tables.data(), arranged.data(), count, OctetsOf(m),
                     sums.data());
    if (&level == &Portable()) {
      expected_tables = tables;
      expected_sums = sums;
    }
    Require(tables == expected_tables, level, "fill_tables");
    Require(sums == expected_sums, level, "scan_codes");
  }
}

void Digits(Bytes& bytes) {
  const size_t count = 16 * bytes.Number(0, 3);
  const size_t stride = count + bytes.Number(0, 5);
  const size_t width = bytes.Number(1, 9);
  const auto points = Floats(bytes, width * stride);
  const auto entries = Floats(bytes, width * kEntries);
  std::vector<uint8_t> expected(count);
  Portable().nearest_entries(points.data(), stride, count, width,
                             entries.data(), expected.data());
  for (const KernelTable* const level : SupportedKernels()) {
    std::vector<uint8_t> digits(count);
    level->nearest_entries(points.data(), stride, count, width, entries.data(),
                           digits.data());
    Require(digits == expected, *level, "nearest_entries");
  }
}

void Rows(Bytes& bytes) {
  const size_t n = bytes.Number(0, 200);
  const auto a = Floats(bytes, n);
  const auto b = Floats(bytes, n);
  double magnitude = 0;
  for (size_t i = 0; i < n; ++i) {
    magnitude += std::fabs(double{a[i]}) * std::fabs(double{b[i]});
  }
  const double l2 = Portable().squared_l2(a.data(), b.data(), n);
  const double dot = Portable().dot(a.data(), b.data(), n);
  const double rounding = static_cast<double>(n + 2) * 0x1p-22;
  for (const KernelTable* const level : SupportedKernels()) {
    Require(std::fabs(level->squared_l2(a.data(), b.data(), n) - l2) <=
                rounding * l2 + 1e-37,
            *level, "squared_l2");
    Require(std::fabs(level->dot(a.data(), b.data(), n) - dot) <=
                rounding * magnitude + 1e-37,
            *level, "dot");
  }
}

}  // namespace
}  // namespace timbre

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  timbre::fuzz::Bytes bytes(data, size);
  switch (bytes.Number(0, 6)) {
    case 0:
      timbre::Quantized(bytes);
      break;
    case 1:
      timbre::Scores(bytes);
      break;
    case 2:
      timbre::Selections(bytes);
      break;
    case 3:
      timbre::Codes(bytes);
      break;
    case 4:
      timbre::Coordinates(bytes);
      break;
    case 5:
      timbre::Digits(bytes);
      break;
    default:
      timbre::Rows(bytes);
      break;
  }
  return 0;
}
