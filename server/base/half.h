// IEEE 754 binary16 ("float16", "half"): conversions of one value. The bulk
// conversions are kernels (kernels/kernels.h); these are their reference.
#ifndef TIMBRE_SERVER_BASE_HALF_H_
#define TIMBRE_SERVER_BASE_HALF_H_

#include <bit>
#include <cstdint>

namespace timbre {

inline constexpr float kHalfMax = 65504.0F;

// Exact. Infinities and NaN stay what they are.
inline float HalfToFloat(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000U) << 16;
  const uint32_t magnitude = half & 0x7fffU;
  if (magnitude >= 0x7c00U) {  // infinity or NaN
    return std::bit_cast<float>(sign | 0x7f800000U |
                                ((magnitude & 0x3ffU) << 13));
  }
  // Moving the bits and scaling by 2^112 is right for subnormals too.
  const float scaled = std::bit_cast<float>(magnitude << 13) * 0x1p112F;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(scaled) | sign);
}

// Rounds to nearest, ties to even; magnitudes that round above 65504 become
// 65504 (saturation, as the contract asks of replies). NaN stays NaN.
inline uint16_t FloatToHalf(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000U;
  const uint32_t magnitude = bits & 0x7fffffffU;
  if (magnitude > 0x7f800000U) return static_cast<uint16_t>(sign | 0x7e00U);
  if (magnitude >= 0x477ff000U) return static_cast<uint16_t>(sign | 0x7bffU);
  if (magnitude < 0x38800000U) {  // subnormal half, or zero
    // Adding 0.5 aligns the value so that the FPU rounds at the right bit.
    const float aligned = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<uint16_t>(
        sign | (std::bit_cast<uint32_t>(aligned) - 0x3f000000U));
  }
  const uint32_t odd = (magnitude >> 13) & 1U;
  return static_cast<uint16_t>(
      sign | ((magnitude - 0x38000000U + 0xfffU + odd) >> 13));
}

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_HALF_H_
