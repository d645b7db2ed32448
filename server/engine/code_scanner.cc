#include "server/engine/code_scanner.h"

#include <algorithm>
#include <cmath>

namespace timbre {
namespace {

constexpr size_t kEntries = 16;  // of a 4-bit codebook

}  // namespace

CodeScanner::CodeScanner(const IvfParts& parts, Metric metric,
                         const KernelTable& kernels)
    : parts_(parts),
      metric_(metric),
      kernels_(kernels),
      digits_per_code_(parts.dimension / parts.pq_m),
      transposed_(parts.codebooks.size()) {
  for (size_t m = 0; m < parts.pq_m; ++m) {
    const size_t base = m * kEntries * digits_per_code_;
    for (size_t j = 0; j < kEntries; ++j) {
      for (size_t s = 0; s < digits_per_code_; ++s) {
        transposed_[base + s * kEntries + j] =
            parts.codebooks[base + j * digits_per_code_ + s];
      }
    }
  }
}

void CodeScanner::FillDistances(const float* query, float* distances) const {
  const float* entries = transposed_.data();
  for (size_t m = 0; m < parts_.pq_m; ++m, distances += kEntries) {
    std::fill_n(distances, kEntries, 0.0F);
    for (size_t s = 0; s < digits_per_code_; ++s, entries += kEntries) {
      const float q = *query++;
      if (metric_ == Metric::kL2) {
        for (size_t j = 0; j < kEntries; ++j) {
          distances[j] += (q - entries[j]) * (q - entries[j]);
        }
      } else {
        for (size_t j = 0; j < kEntries; ++j) distances[j] -= q * entries[j];
      }
    }
  }
}

void CodeScanner::Prepare(const float* query, CodeScratch& scratch) const {
  const size_t m = parts_.pq_m;
  scratch.distances.resize(m * kEntries);
  scratch.tables.assign(size_t{parts_.padded_m()} * kEntries, 0);
  float* const distances = scratch.distances.data();
  FillDistances(query, distances);
  // One scale for all tables, so that sums of entries order like sums of
  // distances; each table starts at 0. No entry exceeds 255 and no sum 65535,
  // the rounding up of every entry by 1/2 included.
  float widest = 0;
  float total = 0;
  for (size_t r = 0; r < m; ++r) {
    float* const row = distances + r * kEntries;
    const auto [low, high] = std::minmax_element(row, row + kEntries);
    const float least = *low;
    const float span = *high - least;
    widest = std::max(widest, span);
    total += span;
    for (size_t j = 0; j < kEntries; ++j) row[j] -= least;
  }
  if (widest <= 0) return;  // all alike: every sum is 0
  const float scale =
      std::min(255.0F / widest, (65535.0F - static_cast<float>(m)) / total);
  for (size_t i = 0; i < m * kEntries; ++i) {
    scratch.tables[i] = static_cast<uint8_t>(
        std::min(255.0F, std::floor(distances[i] * scale + 0.5F)));
  }
}

void CodeScanner::Scan(uint32_t list, CodeScratch& scratch, TopK& top) const {
  const auto ids = parts_.List(list);
  const size_t blocks = parts_.BlocksOf(list);
  scratch.sums.resize(std::max(scratch.sums.size(), blocks * kCodesPerBlock));
  kernels_.scan_codes(
      scratch.tables.data(),
      parts_.blocks.data() + parts_.block_begin[list] * parts_.block_bytes(),
      blocks, parts_.padded_m(), scratch.sums.data());
  for (size_t i = 0; i < ids.size(); ++i) {
    top.Push(MakeScoredId(uint32_t{scratch.sums[i]}, ids[i]));
  }
}

}  // namespace timbre
