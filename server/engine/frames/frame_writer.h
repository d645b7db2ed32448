// Writing frames to an .npy file, row by row.
#ifndef TIMBRE_SERVER_ENGINE_FRAMES_FRAME_WRITER_H_
#define TIMBRE_SERVER_ENGINE_FRAMES_FRAME_WRITER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/element_type.h"
#include "server/base/file_system.h"
#include "server/kernels/kernels.h"

namespace timbre {

// Not thread-safe. Errors are those of OutputFile.
class FrameWriter {
 public:
  // Frames of `dimension` numbers, stored as `type`. With `round_to_half`
  // float32 frames are rounded to the float16 grid first.
  static absl::StatusOr<FrameWriter> Create(
      const std::string& path, ElementType type, uint32_t dimension,
      bool round_to_half, const KernelTable& kernels,
      FileSystem& files = FileSystem::Posix());

  // `frames` is [rows, dimension].
  absl::Status Append(const float* frames, uint64_t rows);
  // Fills in the number of rows and syncs the file. Call last.
  absl::Status Finish();

  uint64_t rows() const { return rows_; }
  uint32_t dimension() const { return dimension_; }
  const std::string& path() const { return file_.path(); }
  // Whether every value so far is on the float16 grid.
  bool fits_half() const { return fits_half_; }

 private:
  FrameWriter(OutputFile file, ElementType type, uint32_t dimension,
              bool round_to_half, const KernelTable& kernels);

  OutputFile file_;
  ElementType type_;
  uint32_t dimension_;
  bool rounds_;
  const KernelTable* kernels_;
  uint64_t rows_ = 0;
  bool fits_half_ = true;
  std::vector<uint16_t> halves_;  // one row
  std::vector<float> rounded_;    // one row
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_FRAMES_FRAME_WRITER_H_
