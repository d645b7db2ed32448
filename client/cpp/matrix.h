// Frames in a client's memory.
#ifndef TIMBRE_CLIENT_CPP_MATRIX_H_
#define TIMBRE_CLIENT_CPP_MATRIX_H_

#include <cstdint>
#include <vector>

namespace timbre::client {

// Row-major [rows, columns].
template <typename T>
struct Matrix {
  std::vector<T> data;
  uint64_t rows = 0;
  uint32_t columns = 0;

  const T* row(uint64_t i) const { return data.data() + i * columns; }
  T* row(uint64_t i) { return data.data() + i * columns; }
};

using FrameMatrix = Matrix<float>;

}  // namespace timbre::client

#endif  // TIMBRE_CLIENT_CPP_MATRIX_H_
