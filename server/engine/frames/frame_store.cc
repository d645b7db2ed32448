#include "server/engine/frames/frame_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/engine/frames/npy_header.h"

namespace timbre {

FrameStore::FrameStore(std::shared_ptr<const MappedFile> file, ElementType type,
                       uint64_t rows, uint32_t dimension,
                       const KernelTable& kernels)
    : file_(std::move(file)),
      data_offset_(kNpyHeaderBytes),
      type_(type),
      rows_(rows),
      dimension_(dimension),
      kernels_(&kernels) {}

absl::StatusOr<FrameStore> FrameStore::Open(const std::string& path,
                                            ElementType type, uint64_t rows,
                                            uint32_t dimension,
                                            const KernelTable& kernels,
                                            FileSystem& files) {
  const size_t bytes =
      kNpyHeaderBytes + rows * dimension * BytesPerElement(type);
  TIMBRE_ASSIGN_OR_RETURN(std::unique_ptr<MappedFile> file,
                          files.Map(path, bytes));
  const std::string expected = NpyHeader(type, rows, dimension);
  const bool matches =
      absl::string_view(file->data(), kNpyHeaderBytes) == expected;
  TIMBRE_RETURN_IF_ERROR(file->Check());
  if (!matches) {
    return MakeError(
        absl::StatusCode::kDataLoss, "FILE_CORRUPT",
        absl::StrCat(path, ": the header is not what was written"));
  }
  return FrameStore(std::move(file), type, rows, dimension, kernels);
}

const float* FrameStore::Row(uint64_t id, float* buffer) const {
  const char* const raw = RawRow(id);
  if (type_ == ElementType::kFloat32) {
    return reinterpret_cast<const float*>(raw);
  }
  kernels_->half_to_float(reinterpret_cast<const uint16_t*>(raw), dimension_,
                          buffer);
  return buffer;
}

float FrameStore::Dot(const float* frame, uint64_t id) const {
  const char* const raw = RawRow(id);
  return type_ == ElementType::kFloat32
             ? kernels_->dot(frame, reinterpret_cast<const float*>(raw),
                             dimension_)
             : kernels_->dot_half(frame, reinterpret_cast<const uint16_t*>(raw),
                                  dimension_);
}

float FrameStore::SquaredL2(const float* frame, uint64_t id) const {
  const char* const raw = RawRow(id);
  return type_ == ElementType::kFloat32
             ? kernels_->squared_l2(frame, reinterpret_cast<const float*>(raw),
                                    dimension_)
             : kernels_->squared_l2_half(
                   frame, reinterpret_cast<const uint16_t*>(raw), dimension_);
}

MixNorms FrameStore::Mix(const float* frame, const WeightedRows& rows,
                         float rate, float* out) const {
  return type_ == ElementType::kFloat32
             ? kernels_->mix_rows(
                   frame, reinterpret_cast<const float* const*>(rows.rows),
                   rows.weights, rows.count, rate, dimension_, out)
             : kernels_->mix_rows_half(
                   frame, reinterpret_cast<const uint16_t* const*>(rows.rows),
                   rows.weights, rows.count, rate, dimension_, out);
}

}  // namespace timbre
