// What the fuzz targets share: numbers out of the input, files that hold it,
// and checks that end the process.
#ifndef TIMBRE_TESTS_FUZZ_FUZZING_H_
#define TIMBRE_TESTS_FUZZ_FUZZING_H_

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace timbre::fuzz {

// Ends the process where `good` does not hold: libFuzzer keeps the input then.
inline void Require(bool good, absl::string_view fact,
                    absl::string_view detail = "") {
  if (good) return;
  std::cerr << "does not hold: " << fact << "; " << detail << "\n";
  std::abort();
}

// Numbers from the input; zeros once it is used up.
class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  bool empty() const { return size_ == 0; }

  size_t Number(size_t low, size_t high) {
    return low + Take<uint16_t>() % (high - low + 1);
  }

  template <typename T>
  T Take() {
    T value{};
    const size_t bytes = std::min(sizeof(T), size_);
    std::memcpy(&value, data_, bytes);
    Skip(bytes);
    return value;
  }

  template <typename T>
  std::vector<T> Many(size_t count) {
    std::vector<T> values(count);
    for (T& x : values) x = Take<T>();
    return values;
  }

  // Up to `most` bytes, as many as there are.
  std::string Text(size_t most) {
    const size_t bytes = std::min(most, size_);
    std::string text(reinterpret_cast<const char*>(data_), bytes);
    Skip(bytes);
    return text;
  }
  std::string Rest() { return Text(size_); }
  // A number of two bytes, and so many.
  std::string Piece() {
    const auto bytes = Take<uint16_t>();
    return Text(bytes);
  }

 private:
  void Skip(size_t bytes) {
    data_ += bytes;
    size_ -= bytes;
  }

  const uint8_t* data_;
  size_t size_;
};

}  // namespace timbre::fuzz

#endif  // TIMBRE_TESTS_FUZZ_FUZZING_H_
