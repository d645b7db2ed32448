#include <array>

#include "server/base/half.h"
#include "server/kernels/portable/portable.h"

namespace timbre::portable {
namespace {

// Independent sums that a compiler may keep in vector registers.
constexpr size_t kLanes = 16;
using Lanes = std::array<float, kLanes>;

float Sum(Lanes& lanes) {
  for (size_t width = kLanes / 2; width > 0; width /= 2) {
    for (size_t i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

template <typename B, float (*kDecode)(B), float (*kTerm)(float, float)>
float Reduce(const float* a, const B* b, size_t n) {
  Lanes sums{};
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      sums[lane] += kTerm(a[i + lane], kDecode(b[i + lane]));
    }
  }
  for (size_t lane = 0; i < n; ++i, ++lane) {
    sums[lane] += kTerm(a[i], kDecode(b[i]));
  }
  return Sum(sums);
}

float Same(float value) { return value; }
float Product(float a, float b) { return a * b; }
float SquaredDifference(float a, float b) { return (a - b) * (a - b); }

template <typename B, float (*kDecode)(B)>
MixNorms Mix(const float* frame, const B* const* rows, const float* weights,
             size_t count, float rate, size_t n, float* out) {
  Lanes norm{};
  Lanes shift{};
  for (size_t i = 0; i < n; i += kLanes) {
    const size_t width = n - i < kLanes ? n - i : kLanes;
    Lanes mix{};
    for (size_t r = 0; r < count; ++r) {
      for (size_t lane = 0; lane < width; ++lane) {
        mix[lane] += weights[r] * kDecode(rows[r][i + lane]);
      }
    }
    for (size_t lane = 0; lane < width; ++lane) {
      const float in = frame[i + lane];
      const float mixed = rate * mix[lane] + (1 - rate) * in;
      norm[lane] += in * in;
      shift[lane] += (mixed - in) * (mixed - in);
      out[i + lane] = mixed;
    }
  }
  return {.squared_norm = Sum(norm), .squared_shift = Sum(shift)};
}

}  // namespace

float Dot(const float* a, const float* b, size_t n) {
  return Reduce<float, Same, Product>(a, b, n);
}

float SquaredL2(const float* a, const float* b, size_t n) {
  return Reduce<float, Same, SquaredDifference>(a, b, n);
}

float DotHalf(const float* a, const uint16_t* b, size_t n) {
  return Reduce<uint16_t, HalfToFloat, Product>(a, b, n);
}

float SquaredL2Half(const float* a, const uint16_t* b, size_t n) {
  return Reduce<uint16_t, HalfToFloat, SquaredDifference>(a, b, n);
}

void HalfToFloats(const uint16_t* in, size_t n, float* out) {
  for (size_t i = 0; i < n; ++i) out[i] = HalfToFloat(in[i]);
}

void FloatToHalves(const float* in, size_t n, uint16_t* out) {
  for (size_t i = 0; i < n; ++i) out[i] = FloatToHalf(in[i]);
}

MixNorms MixRows(const float* frame, const float* const* rows,
                 const float* weights, size_t count, float rate, size_t n,
                 float* out) {
  return Mix<float, Same>(frame, rows, weights, count, rate, n, out);
}

MixNorms MixRowsHalf(const float* frame, const uint16_t* const* rows,
                     const float* weights, size_t count, float rate, size_t n,
                     float* out) {
  return Mix<uint16_t, HalfToFloat>(frame, rows, weights, count, rate, n, out);
}

}  // namespace timbre::portable
