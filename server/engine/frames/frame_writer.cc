#include "server/engine/frames/frame_writer.h"

#include <algorithm>
#include <utility>

#include "server/base/status_macros.h"
#include "server/base/thread_priority.h"
#include "server/engine/frames/npy_header.h"

namespace timbre {
namespace {

constexpr uint64_t kRowsAtOnce = 64;  // between two looks at who waits

}  // namespace

FrameWriter::FrameWriter(OutputFile file, ElementType type, uint32_t dimension,
                         bool round_to_half, const KernelTable& kernels)
    : file_(std::move(file)),
      type_(type),
      dimension_(dimension),
      rounds_(round_to_half),
      kernels_(&kernels),
      halves_(dimension),
      rounded_(dimension) {}

absl::StatusOr<FrameWriter> FrameWriter::Create(
    const std::string& path, ElementType type, uint32_t dimension,
    bool round_to_half, const KernelTable& kernels, FileSystem& files) {
  TIMBRE_ASSIGN_OR_RETURN(OutputFile file, OutputFile::Create(path, files));
  const std::string header = NpyHeader(type, 0, dimension);
  TIMBRE_RETURN_IF_ERROR(file.Append(header.data(), header.size()));
  return FrameWriter(std::move(file), type, dimension, round_to_half, kernels);
}

absl::Status FrameWriter::Append(const float* frames, uint64_t rows) {
  for (uint64_t i = 0; i < rows; ++i, frames += dimension_) {
    if (rows_ % kRowsAtOnce == 0) GiveWay();
    const bool as_half = type_ == ElementType::kFloat16;
    const float* row = frames;
    if (as_half || rounds_ || fits_half_) {
      kernels_->float_to_half(row, dimension_, halves_.data());
    }
    if (!as_half && (rounds_ || fits_half_)) {
      kernels_->half_to_float(halves_.data(), dimension_, rounded_.data());
      if (rounds_) row = rounded_.data();
      fits_half_ =
          fits_half_ && std::equal(row, row + dimension_, rounded_.begin());
    }
    TIMBRE_RETURN_IF_ERROR(
        as_half ? file_.Append(halves_.data(), halves_.size() * 2)
                : file_.Append(row, size_t{dimension_} * sizeof(float)));
    ++rows_;
  }
  return absl::OkStatus();
}

absl::Status FrameWriter::Finish() {
  TIMBRE_RETURN_IF_ERROR(file_.WriteAt(0, NpyHeader(type_, rows_, dimension_)));
  return file_.Sync();
}

}  // namespace timbre
