// The reference: plain C++ for any CPU, shaped so that compilers vectorise it.
#include <array>

#include "server/base/half.h"
#include "server/kernels/tables.h"

namespace timbre {
namespace {

// Independent sums that a compiler may keep in vector registers.
constexpr size_t kLanes = 16;

template <typename B, float (*kDecode)(B), float (*kTerm)(float, float)>
float Reduce(const float* a, const B* b, size_t n) {
  std::array<float, kLanes> sums{};
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      sums[lane] += kTerm(a[i + lane], kDecode(b[i + lane]));
    }
  }
  for (size_t lane = 0; i < n; ++i, ++lane) {
    sums[lane] += kTerm(a[i], kDecode(b[i]));
  }
  for (size_t width = kLanes / 2; width > 0; width /= 2) {
    for (size_t lane = 0; lane < width; ++lane)
      sums[lane] += sums[lane + width];
  }
  return sums[0];
}

float Same(float value) { return value; }
float Product(float a, float b) { return a * b; }
float SquaredDifference(float a, float b) { return (a - b) * (a - b); }

void HalfToFloats(const uint16_t* in, size_t n, float* out) {
  for (size_t i = 0; i < n; ++i) out[i] = HalfToFloat(in[i]);
}

void FloatToHalves(const float* in, size_t n, uint16_t* out) {
  for (size_t i = 0; i < n; ++i) out[i] = FloatToHalf(in[i]);
}

void ScanCodes(const uint8_t* tables, const uint8_t* blocks, size_t count,
               size_t m, uint16_t* sums) {
  for (size_t block = 0; block < count; ++block, sums += kCodesPerBlock) {
    std::array<uint16_t, kCodesPerBlock> sum{};
    for (size_t r = 0; r < m; ++r, blocks += 16) {
      const uint8_t* const table = tables + 16 * r;
      for (size_t j = 0; j < 16; ++j) {
        sum[j] = static_cast<uint16_t>(sum[j] + table[blocks[j] & 15]);
        sum[j + 16] =
            static_cast<uint16_t>(sum[j + 16] + table[blocks[j] >> 4]);
      }
    }
    for (size_t j = 0; j < kCodesPerBlock; ++j) sums[j] = sum[j];
  }
}

}  // namespace

const KernelTable kPortableKernels = {
    .name = "portable",
    .dot = &Reduce<float, Same, Product>,
    .squared_l2 = &Reduce<float, Same, SquaredDifference>,
    .dot_half = &Reduce<uint16_t, HalfToFloat, Product>,
    .squared_l2_half = &Reduce<uint16_t, HalfToFloat, SquaredDifference>,
    .half_to_float = &HalfToFloats,
    .float_to_half = &FloatToHalves,
    .scan_codes = &ScanCodes,
};

}  // namespace timbre
