#include <algorithm>
#include <array>
#include <cmath>

#include "server/kernels/nearest_entries.h"
#include "server/kernels/portable/portable.h"

namespace timbre::portable {
namespace {

constexpr size_t kLanes = kSubQuantizersPerGroup;
constexpr size_t kGroupFloats = kEntries * kLanes;

// A frame's working memory.
struct Work {
  Work(const CodebookGroups& codebook, float* memory)
      : spread(memory),
        distances(spread + codebook.groups * codebook.width * kLanes),
        least(distances + codebook.groups * kGroupFloats),
        spans(least + codebook.groups * kLanes) {}

  float* spread;     // [groups][width][lane]
  float* distances;  // [groups][entry][lane], partial
  float* least;      // [groups][lane], of a sub-quantizer's distances
  float* spans;      // [groups][lane], from the least to the most
};

void FillDistances(const CodebookGroups& codebook, const Work& work) {
  const float* values = codebook.values;
  for (size_t group = 0; group < codebook.groups; ++group) {
    const float* const frame = work.spread + group * codebook.width * kLanes;
    float* const least = work.least + group * kLanes;
    std::array<float, kLanes> most{};
    for (size_t entry = 0; entry < kEntries; ++entry) {
      float* const distances =
          work.distances + group * kGroupFloats + entry * kLanes;
      std::copy_n(values, kLanes, distances);
      values += kLanes;
      for (size_t s = 0; s < codebook.width; ++s, values += kLanes) {
        const float* const x = frame + s * kLanes;
        for (size_t i = 0; i < kLanes; ++i) distances[i] -= x[i] * values[i];
      }
      for (size_t i = 0; i < kLanes; ++i) {
        least[i] = entry == 0 ? distances[i] : std::min(least[i], distances[i]);
        most[i] = entry == 0 ? distances[i] : std::max(most[i], distances[i]);
      }
    }
    for (size_t i = 0; i < kLanes; ++i) {
      work.spans[group * kLanes + i] = most[i] - least[i];
    }
  }
}

float ScaleOf(const CodebookGroups& codebook, const float* spans) {
  float widest = 0;
  std::array<float, kLanes> total{};
  for (size_t i = 0; i < codebook.groups * kLanes; ++i) {
    widest = std::max(widest, spans[i]);
    total[i % kLanes] += spans[i];
  }
  for (size_t width = kLanes / 2; width > 0; width /= 2) {
    for (size_t i = 0; i < width; ++i) total[i] += total[i + width];
  }
  return TableScale(codebook, widest, total[0]);
}

struct RowScale {
  float least;
  float span;
  float scale;
};

// The entries of one sub-quantizer, whose distances are kLanes apart:
// (distance - least) * scale, rounded as the other levels do it, by adding 1/2;
// mirrored: counted from the other end.
// NOLINTBEGIN(bugprone-incorrect-roundings)
void WriteRow(const CodebookGroups& codebook, const float* distances,
              const RowScale& row, uint8_t* entries) {
  const int top = static_cast<int>(row.span * row.scale + 0.5F);
  const float from = codebook.mirrored ? row.least + row.span : row.least;
  const float scale = codebook.mirrored ? -row.scale : row.scale;
  for (size_t entry = 0; entry < kEntries; ++entry) {
    const float x = distances[entry * kLanes] - from;
    const int value = static_cast<int>(x * scale + 0.5F);
    entries[entry] = static_cast<uint8_t>(
        std::clamp(codebook.mirrored ? top - value : value, 0, 255));
  }
}
// NOLINTEND(bugprone-incorrect-roundings)

}  // namespace

void FillTables(const CodebookGroups& codebook, const float* const* frames,
                size_t count, float* work, uint8_t* const* tables) {
  for (size_t q = 0; q < count; ++q) {
    const Work parts(codebook, work + q * TableWork(codebook));
    SpreadFrame(frames[q], codebook, parts.spread);
    FillDistances(codebook, parts);
    const float scale = ScaleOf(codebook, parts.spans);
    for (size_t row = 0; row < codebook.groups * kLanes; ++row) {
      const size_t group = row / kLanes;
      const size_t lane = group * kLanes + LaneOf(row % kLanes);
      WriteRow(codebook, parts.distances + group * kGroupFloats + lane % kLanes,
               {parts.least[lane], parts.spans[lane], scale},
               tables[q] + row * kEntries);
    }
  }
}

void ArrangeCodes(uint8_t* blocks, size_t bytes) {
  for (uint8_t* octet = blocks; octet < blocks + bytes; octet += kOctetBytes) {
    std::array<uint8_t, kOctetBytes> words;
    std::copy_n(octet, kOctetBytes, words.begin());
    for (size_t t = 0; t < 4; ++t) {
      for (size_t c = 0; c < kCodesPerBlock; ++c) {
        octet[kCodesPerBlock * t + c] = words[4 * c + t];
      }
    }
  }
}

void ScanCodes(const uint8_t* tables, const uint8_t* blocks, size_t count,
               size_t octets, uint16_t* sums) {
  for (size_t block = 0; block < count; ++block, sums += kCodesPerBlock) {
    std::array<uint16_t, kCodesPerBlock> sum{};
    const uint8_t* low = tables;
    for (size_t octet = 0; octet < octets; ++octet, low += 128) {
      for (size_t t = 0; t < 4; ++t, blocks += kCodesPerBlock) {
        const uint8_t* const high = low + 64;
        for (size_t c = 0; c < kCodesPerBlock; ++c) {
          sum[c] =
              static_cast<uint16_t>(sum[c] + low[16 * t + (blocks[c] & 15)] +
                                    high[16 * t + (blocks[c] >> 4)]);
        }
      }
    }
    std::copy(sum.begin(), sum.end(), sums);
  }
}

void NearestEntries(const float* points, size_t stride, size_t count,
                    size_t width, const float* entries, uint8_t* digits) {
  NearestEntriesOf(points, stride, count, width, entries, digits);
}

}  // namespace timbre::portable
