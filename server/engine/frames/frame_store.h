// The stored frames of a version: total_fea.npy, mapped and never copied.
#ifndef TIMBRE_SERVER_ENGINE_FRAMES_FRAME_STORE_H_
#define TIMBRE_SERVER_ENGINE_FRAMES_FRAME_STORE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/base/element_type.h"
#include "server/base/mapped_file.h"
#include "server/kernels/kernels.h"

namespace timbre {

// Rows of a store (see RawRow) and what each weighs.
struct WeightedRows {
  const char* const* rows = nullptr;
  const float* weights = nullptr;
  size_t count = 0;
};

// Immutable and thread-safe.
class FrameStore {
 public:
  // DATA_LOSS if the file has another size or header than these three give.
  static absl::StatusOr<FrameStore> Open(
      const std::string& path, ElementType type, uint64_t rows,
      uint32_t dimension, const KernelTable& kernels,
      FileSystem& files = FileSystem::Posix());

  uint64_t rows() const { return rows_; }
  uint32_t dimension() const { return dimension_; }
  ElementType element_type() const { return type_; }
  size_t row_bytes() const { return dimension_ * BytesPerElement(type_); }

  // The stored bytes of row `id` < rows().
  const char* RawRow(uint64_t id) const {
    return file_->data() + data_offset_ + id * row_bytes();
  }

  // Row `id` as floats: `dimension()` numbers in `buffer`, or in the map
  // itself where it already holds floats.
  const float* Row(uint64_t id, float* buffer) const;

  // Exact <frame, row> and |frame - row|^2; `frame` has dimension() numbers.
  float Dot(const float* frame, uint64_t id) const;
  float SquaredL2(const float* frame, uint64_t id) const;

  // out = rate * sum of weights[i] * rows[i] + (1 - rate) * frame; `out` may be
  // `frame`. See KernelTable::mix_rows.
  MixNorms Mix(const float* frame, const WeightedRows& rows, float rate,
               float* out) const;

  // What was read since Open is to be thrown away if this is not OK. See
  // MappedFile::Check.
  absl::Status Check() const { return file_->Check(); }

  bool damaged() const { return file_->damaged(); }
  // DATA_LOSS if damaged(). Touches no page.
  absl::Status Damage() const { return file_->Damage(); }

  // Where the rows are.
  const MappedFile& file() const { return *file_; }
  // For who uses it longer than the store lives.
  std::shared_ptr<const MappedFile> shared_file() const { return file_; }

  // Says that rows [first, first + count) are not needed for now.
  void Release(uint64_t first, uint64_t count) const {
    file_->Release(data_offset_ + first * row_bytes(), count * row_bytes());
  }

 private:
  FrameStore(std::shared_ptr<const MappedFile> file, ElementType type,
             uint64_t rows, uint32_t dimension, const KernelTable& kernels);

  std::shared_ptr<const MappedFile> file_;
  size_t data_offset_;
  ElementType type_;
  uint64_t rows_;
  uint32_t dimension_;
  const KernelTable* kernels_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_FRAMES_FRAME_STORE_H_
