// Frames on the wire to frames in memory and back. Pure functions,
// thread-safe; the tests feed them random input too.
#ifndef TIMBRE_SERVER_SERVICE_CONTRACT_FRAME_CODEC_H_
#define TIMBRE_SERVER_SERVICE_CONTRACT_FRAME_CODEC_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/element_type.h"
#include "server/kernels/kernels.h"
#include "timbre/v1/retrieval.pb.h"

namespace timbre {

// Larger magnitudes are refused: their squared distances could overflow.
inline constexpr float kMaxMagnitude = 1e15F;

// Row-major float32 frames.
struct FrameBatch {
  std::vector<float> data;  // [rows, dimension]
  uint64_t rows = 0;
  ElementType element_type = ElementType::kFloat32;  // as it came
};

// INVALID_ARGUMENT (naming `field`) for numbers that are no ElementType.
absl::StatusOr<ElementType> DecodeElementType(v1::ElementType type,
                                              absl::string_view field);
v1::ElementType EncodeElementType(ElementType type);

// Checks and converts `frames` into `batch`, whose memory is reused.
// `dimension` is the speaker's; 0 takes the message's. No data at all are no
// rows, of any dimension. INVALID_ARGUMENT for a wrong dimension, a length
// that is no multiple of it, NaN, infinity or magnitudes above kMaxMagnitude.
absl::Status DecodeFrames(const v1::Frames& frames, uint32_t dimension,
                          const KernelTable& kernels, FrameBatch& batch);

// What each of `rows` frames is blended with: `rate` where `sent`, the field
// frame_index_rates, is empty. INVALID_ARGUMENT for another number of rates
// than rows, or one outside of 0..1.
absl::Status DecodeRates(absl::string_view sent, uint64_t rows, float rate,
                         std::vector<float>& rates);

// `data` is [rows, dimension]; values beyond float16 saturate.
void EncodeFrames(const float* data, uint64_t rows, uint32_t dimension,
                  ElementType type, const KernelTable& kernels,
                  v1::Frames& frames);

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_CONTRACT_FRAME_CODEC_H_
