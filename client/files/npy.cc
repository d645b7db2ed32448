#include "client/files/npy.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "client/files/file_bytes.h"
#include "client/files/npy_format.h"
#include "client/files/output.h"
#include "server/base/errors.h"
#include "server/base/file_system.h"
#include "server/base/status_macros.h"

namespace timbre::client {
namespace {

template <typename T>
absl::Status Write(const std::string& path, absl::string_view type,
                   const Matrix<T>& matrix) {
  const std::string header = MakeNpyHeader(type, matrix.rows, matrix.columns);
  return WriteWhole(path, [&](OutputFile& file) {
    TIMBRE_RETURN_IF_ERROR(file.Append(header.data(), header.size()));
    return file.Append(matrix.data.data(), matrix.data.size() * sizeof(T));
  });
}

// As the server refuses them; it sees messages, and knows of no files.
absl::Status CheckNumbers(const FrameMatrix& frames) {
  for (uint64_t row = 0; row < frames.rows; ++row) {
    bool good = true;
    for (uint64_t i = 0; i < frames.columns; ++i) {
      good = good && std::abs(frames.row(row)[i]) <= kMaxMagnitude;
    }
    if (good) continue;
    return MakeError(absl::StatusCode::kInvalidArgument, "INVALID_FIELD",
                     absl::StrCat("frame ", row,
                                  " holds NaN, infinity or a magnitude above "
                                  "1e15"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<uint64_t> CountNpyRows(const std::string& path) {
  TIMBRE_ASSIGN_OR_RETURN(const FileBytes file, FileBytes::Open(path));
  const auto header = ParseNpyHeader(file.bytes(), file.bytes().size());
  if (!header.ok()) return Annotate(header.status(), path);
  return header->rows;
}

absl::StatusOr<FrameMatrix> ReadNpy(const std::string& path) {
  TIMBRE_ASSIGN_OR_RETURN(const FileBytes file, FileBytes::Open(path));
  auto matrix = ParseNpy(file.bytes());
  TIMBRE_RETURN_IF_ERROR(file.Check());
  if (!matrix.ok()) return Annotate(matrix.status(), path);
  // Of the copy in memory, which no longer hangs on the file.
  if (const auto good = CheckNumbers(*matrix); !good.ok()) {
    return Annotate(good, path);
  }
  return matrix;
}

absl::Status WriteNpy(const std::string& path, const Matrix<float>& matrix) {
  return Write(path, "<f4", matrix);
}

absl::Status WriteNpy(const std::string& path, const Matrix<int64_t>& matrix) {
  return Write(path, "<i8", matrix);
}

}  // namespace timbre::client
