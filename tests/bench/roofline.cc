// What this machine can do at most, and what each stage of a search takes of
// it, on one core: see doc/performance.md.
//
//   roofline
//
// Prints a JSON object. Limits are measured, not looked up: int8 dot products
// and float multiply-adds with independent registers, reads of a buffer that
// fits the second-level cache, of one that fits no cache, and of random rows.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>

#include "server/base/aligned_vector.h"
#include "server/kernels/kernels.h"
#include "tests/bench/peak.h"

namespace timbre {
namespace {

using nlohmann::json;

// Seconds per call: the median of several runs of about 20 ms.
template <typename Work>
double Seconds(Work work) {
  std::vector<double> runs;
  for (int run = 0; run < 9; ++run) {
    const auto start = std::chrono::steady_clock::now();
    std::chrono::duration<double> elapsed{0};
    size_t calls = 0;
    do {
      for (int i = 0; i < 8; ++i) work();
      calls += 8;
      elapsed = std::chrono::steady_clock::now() - start;
    } while (elapsed.count() < 0.02);
    runs.push_back(elapsed.count() / static_cast<double>(calls));
  }
  std::nth_element(runs.begin(), runs.begin() + 4, runs.end());
  return runs[4];
}

double ReadGigabytes(const AlignedVector<char>& memory) {
  return static_cast<double>(memory.size()) * 1e-9 /
         Seconds([&] { bench::Read(memory.data(), memory.size()); });
}

// Rows of 512 bytes in random order, as refinement reads them.
double RandomRowGigabytes(const AlignedVector<char>& memory) {
  constexpr size_t kRow = 512;
  std::vector<uint32_t> order(memory.size() / kRow);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937(1));
  size_t next = 0;
  const double seconds = Seconds([&] {
    for (size_t i = 0; i < 256; ++i) {
      bench::Read(&memory[order[next] * kRow], kRow);
      if (++next == order.size()) next = 0;
    }
  });
  return 256 * kRow * 1e-9 / seconds;
}

template <typename T>
AlignedVector<T> Noise(size_t n, int low, int high) {
  std::mt19937 random(3);
  std::uniform_int_distribution<int> uniform(low, high);
  AlignedVector<T> values(n);
  for (T& x : values) x = static_cast<T>(uniform(random));
  return values;
}

// What reducing four frames to 64 coordinates and scoring the lists for them
// takes.
double SecondsReduced(const KernelTable& kernels, size_t dimension,
                      size_t nlist) {
  constexpr size_t kReduced = 64;
  const auto directions = Noise<uint8_t>(kReduced * dimension, 0, 255);
  const auto centroids = Noise<uint8_t>(nlist * kReduced, 0, 255);
  const AlignedVector<float> ones(std::max(nlist, 4 * dimension), 1.0F);
  const auto frames = Noise<float>(4 * dimension, -9, 9);
  AlignedVector<int8_t> values(4 * dimension);
  AlignedVector<int8_t> reduced(4 * kReduced);
  std::vector<float> coordinates(4 * kReduced);
  AlignedVector<uint16_t> scores(4 * nlist);
  return Seconds([&] {
    std::array<Projection, 4> projections;
    std::array<ListQuery, 4> queries;
    for (size_t q = 0; q < 4; ++q) {
      int8_t* const out = &values[q * dimension];
      const QuantizedFrame frame = kernels.quantize(
          &frames[q * dimension], ones.data(), dimension, dimension, out);
      projections[q] = {out, frame.sum, frame.step, &coordinates[q * kReduced]};
    }
    kernels.project(
        {directions.data(), ones.data(), ones.data(),
         kReduced / kVectorsPerBlock, dimension / kDimensionsPerGroup},
        projections.data(), 4);
    for (size_t q = 0; q < 4; ++q) {
      int8_t* const out = &reduced[q * kReduced];
      const QuantizedFrame frame = kernels.quantize(
          &coordinates[q * kReduced], ones.data(), kReduced, kReduced, out);
      queries[q] = {out, frame.sum, 1, 1e4, 0.01F, &scores[q * nlist]};
    }
    PrefetchQueue none;
    kernels.score_lists(
        {centroids.data(), ones.data(), ones.data(), nlist / kVectorsPerBlock,
         kReduced / kDimensionsPerGroup},
        queries.data(), 4, none);
  });
}

// Microseconds a frame of each stage, for the shapes of the benchmark's index
// and everything in the nearest caches that it fits.
json Stages(const KernelTable& kernels, size_t dimension, size_t nlist) {
  const size_t blocks = nlist / kVectorsPerBlock;
  const size_t groups = dimension / kDimensionsPerGroup;
  const size_t m = dimension / 2;
  const size_t octets = OctetsOf(m);
  const auto centroids = Noise<uint8_t>(nlist * dimension, 0, 255);
  const auto ints = Noise<int8_t>(4 * dimension, -127, 127);
  const AlignedVector<float> ones(std::max(nlist, size_t{65536}), 1.0F);
  const auto floats = Noise<float>(65536, -9, 9);
  AlignedVector<uint16_t> scores(4 * nlist);
  std::vector<ListQuery> queries(4);
  for (size_t q = 0; q < 4; ++q) {
    queries[q] = {&ints[q * dimension], 0, 1, 1e4, 0.01F, &scores[q * nlist]};
  }
  const VectorBlocks lists{centroids.data(), ones.data(), ones.data(), blocks,
                           groups};
  json stages;
  for (const size_t count : {1, 4}) {
    stages["lists_" + std::to_string(count)] =
        1e6 / static_cast<double>(count) * Seconds([&] {
          PrefetchQueue none;
          kernels.score_lists(lists, queries.data(), count, none);
        });
  }
  stages["lists_4_reduced_to_64"] =
      1e6 / 4 * SecondsReduced(kernels, dimension, nlist);
  std::vector<int8_t> quantized(dimension);
  stages["quantize"] = 1e6 * Seconds([&] {
                         kernels.quantize(floats.data(), ones.data(), dimension,
                                          dimension, quantized.data());
                       });
  CodebookGroups book{nullptr, GroupsOf(m), 2, m, 2, false};
  const auto values = Noise<float>(book.groups * kEntries * 3 * 16, -9, 9);
  book.values = values.data();
  AlignedVector<float> work(2 * TableWork(book));
  AlignedVector<uint8_t> tables(2 * book.groups * 256);
  const float* const two[] = {floats.data(), floats.data() + dimension};
  uint8_t* const out[] = {tables.data(), tables.data() + book.groups * 256};
  stages["tables"] = 1e6 / 2 * Seconds([&] {
                       kernels.fill_tables(book, two, 2, work.data(), out);
                     });
  // 256 codes: 16 KiB at 256 dimensions.
  const auto codes = Noise<uint8_t>(16 * octets * kOctetBytes, 0, 255);
  AlignedVector<uint16_t> sums(256);
  stages["scan_per_100_codes"] =
      1e8 / 256 * Seconds([&] {
        kernels.scan_codes(tables.data(), codes.data(), 16, octets,
                           sums.data());
      });
  const auto halves = Noise<uint16_t>(32 * dimension, 0, 0x3c00);
  float sum = 0;
  stages["refine_32_rows"] =
      1e6 * Seconds([&] {
        for (size_t i = 0; i < 32; ++i) {
          sum += kernels.squared_l2_half(floats.data(), &halves[i * dimension],
                                         dimension);
        }
      });
  std::vector<const uint16_t*> rows;
  for (size_t i = 0; i < 8; ++i) rows.push_back(&halves[i * dimension]);
  AlignedVector<float> mixed(dimension);
  stages["mix_8_rows"] =
      1e6 * Seconds([&] {
        kernels.mix_rows_half(floats.data(), rows.data(), ones.data(), 8, 0.75F,
                              dimension, mixed.data());
      });
  stages["checked"] = sum + mixed[0] != 0;
  return stages;
}

json Limits() {
  const AlignedVector<char> half_megabyte(size_t{512} << 10, 1);
  const AlignedVector<char> large(size_t{512} << 20, 1);
  return {{"int8_gmacs", 1e-9 * bench::Int8MacsPerSecond()},
          {"float_gflops", 1e-9 * bench::FloatFlopsPerSecond()},
          {"l2_gbytes", ReadGigabytes(half_megabyte)},
          {"dram_gbytes", ReadGigabytes(large)},
          {"random_rows_gbytes", RandomRowGigabytes(large)}};
}

int Main(int argc, char** argv) {
  const KernelTable* const forced = argc > 1 ? FindKernels(argv[1]) : nullptr;
  if (argc > 1 && forced == nullptr) {
    std::cerr << "roofline [SIMD_LEVEL]: no such level here: " << argv[1]
              << "\n";
    return 2;
  }
  const KernelTable& kernels = forced != nullptr ? *forced : BestKernels();
  std::cout << json{{"simd_level", std::string(kernels.name)},
                    {"limits", Limits()},
                    {"stages_256", Stages(kernels, 256, 1024)},
                    {"stages_768", Stages(kernels, 768, 1024)}}
                   .dump(2)
            << "\n";
  return 0;
}

}  // namespace
}  // namespace timbre

int main(int argc, char** argv) { return timbre::Main(argc, argv); }
