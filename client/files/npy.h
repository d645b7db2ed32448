// NumPy's .npy files, as far as features need them. Free functions,
// thread-safe.
#ifndef TIMBRE_CLIENT_FILES_NPY_H_
#define TIMBRE_CLIENT_FILES_NPY_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cpp/matrix.h"

namespace timbre::client {

// Larger numbers are no features: squared distances of theirs overflow, and the
// server refuses them.
inline constexpr float kMaxMagnitude = 1e15F;

// A two-dimensional array of float16, float32 or float64, as npy_format.h reads
// it, as float32. NOT_FOUND, or INVALID_ARGUMENT (truncated, another shape or
// type, numbers that the server takes from nobody); the text holds the path.
absl::StatusOr<FrameMatrix> ReadNpy(const std::string& path);

// The rows that ReadNpy would return, from the header alone.
absl::StatusOr<uint64_t> CountNpyRows(const std::string& path);

// Whole or not at all (output.h).
absl::Status WriteNpy(const std::string& path, const Matrix<float>& matrix);
absl::Status WriteNpy(const std::string& path, const Matrix<int64_t>& matrix);

}  // namespace timbre::client

#endif  // TIMBRE_CLIENT_FILES_NPY_H_
