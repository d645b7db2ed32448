#include "server/kernels/layout.h"

#include <algorithm>

namespace timbre {

void SpreadFrame(const float* frame, const CodebookGroups& codebook,
                 float* out) {
  const size_t width = codebook.width;
  std::fill_n(out, codebook.groups * width * kSubQuantizersPerGroup, 0.0F);
  for (size_t i = 0; i < codebook.sub_quantizers; ++i) {
    float* const lane =
        out + i / kSubQuantizersPerGroup * width * kSubQuantizersPerGroup +
        LaneOf(i % kSubQuantizersPerGroup);
    for (size_t s = 0; s < width; ++s) {
      lane[s * kSubQuantizersPerGroup] = codebook.factor * frame[i * width + s];
    }
  }
}

}  // namespace timbre
