#include "server/service/contract/frame_codec.h"

#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/engine/lists/index_spec.h"

namespace timbre {
namespace {

absl::Status CheckShape(const v1::Frames& frames, uint32_t dimension,
                        ElementType type) {
  const uint32_t sent = frames.dimension();
  if (dimension != 0 && sent != dimension) {
    return InvalidField("frames.dimension", absl::StrCat(sent),
                        absl::StrCat(dimension, ", the speaker's"));
  }
  if (sent < kMinDimension || sent > kMaxDimension) {
    return InvalidField("frames.dimension", absl::StrCat(sent),
                        absl::StrCat(kMinDimension, "..", kMaxDimension));
  }
  const size_t row_bytes = sent * BytesPerElement(type);
  if (frames.data().size() % row_bytes != 0) {
    return InvalidField("frames.data",
                        absl::StrCat(frames.data().size(), " bytes"),
                        absl::StrCat("a multiple of ", row_bytes,
                                     " bytes (dimension ", sent, ")"));
  }
  return absl::OkStatus();
}

// NaN fails every comparison, so `!(|x| <= max)` catches it too.
absl::Status CheckValues(const FrameBatch& batch, uint32_t dimension) {
  bool good = true;
  for (const float x : batch.data) good = good && std::fabs(x) <= kMaxMagnitude;
  if (good) return absl::OkStatus();
  for (size_t i = 0; i < batch.data.size(); ++i) {
    if (std::fabs(batch.data[i]) <= kMaxMagnitude) continue;
    return InvalidField("frames.data",
                        absl::StrCat(batch.data[i], " in row ", i / dimension,
                                     ", column ", i % dimension),
                        "finite and of magnitude at most 1e15");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ElementType> DecodeElementType(v1::ElementType type,
                                              absl::string_view field) {
  switch (type) {
    case v1::ELEMENT_TYPE_UNSPECIFIED:
    case v1::ELEMENT_TYPE_FLOAT32:
      return ElementType::kFloat32;
    case v1::ELEMENT_TYPE_FLOAT16:
      return ElementType::kFloat16;
    default:
      return InvalidField(field, absl::StrCat(static_cast<int>(type)),
                          "0 (unspecified), 1 (float32) or 2 (float16)");
  }
}

v1::ElementType EncodeElementType(ElementType type) {
  return type == ElementType::kFloat16 ? v1::ELEMENT_TYPE_FLOAT16
                                       : v1::ELEMENT_TYPE_FLOAT32;
}

absl::Status DecodeFrames(const v1::Frames& frames, uint32_t dimension,
                          const KernelTable& kernels, FrameBatch& batch) {
  TIMBRE_ASSIGN_OR_RETURN(
      batch.element_type,
      DecodeElementType(frames.element_type(), "frames.element_type"));
  batch.rows = 0;
  batch.data.clear();
  if (frames.data().empty() && frames.dimension() == 0) {
    return absl::OkStatus();
  }
  TIMBRE_RETURN_IF_ERROR(CheckShape(frames, dimension, batch.element_type));
  const size_t elements =
      frames.data().size() / BytesPerElement(batch.element_type);
  batch.data.resize(elements);
  if (batch.element_type == ElementType::kFloat16) {
    // std::string's bytes are aligned well enough for any number; kernels
    // take any alignment anyway.
    kernels.half_to_float(
        reinterpret_cast<const uint16_t*>(frames.data().data()), elements,
        batch.data.data());
  } else if (elements > 0) {
    std::memcpy(batch.data.data(), frames.data().data(), frames.data().size());
  }
  TIMBRE_RETURN_IF_ERROR(CheckValues(batch, frames.dimension()));
  batch.rows = elements / frames.dimension();
  return absl::OkStatus();
}

absl::Status DecodeRates(absl::string_view sent, uint64_t rows, float rate,
                         std::vector<float>& rates) {
  rates.assign(rows, rate);
  if (sent.empty()) return absl::OkStatus();
  if (sent.size() != rows * sizeof(float)) {
    return InvalidField(
        "frame_index_rates", absl::StrCat(sent.size(), " bytes"),
        absl::StrCat(rows * sizeof(float), " bytes, one float32 a frame"));
  }
  std::memcpy(rates.data(), sent.data(), sent.size());
  for (size_t i = 0; i < rows; ++i) {
    if (rates[i] >= 0 && rates[i] <= 1) continue;
    return InvalidField("frame_index_rates",
                        absl::StrCat(rates[i], " at frame ", i), "0..1");
  }
  return absl::OkStatus();
}

void EncodeFrames(const float* data, uint64_t rows, uint32_t dimension,
                  ElementType type, const KernelTable& kernels,
                  v1::Frames& frames) {
  const size_t elements = rows * dimension;
  frames.set_dimension(dimension);
  frames.set_element_type(EncodeElementType(type));
  std::string& out = *frames.mutable_data();
  out.resize(elements * BytesPerElement(type));
  if (type == ElementType::kFloat16) {
    kernels.float_to_half(data, elements,
                          reinterpret_cast<uint16_t*>(out.data()));
  } else if (elements > 0) {
    std::memcpy(out.data(), data, out.size());
  }
}

}  // namespace timbre
