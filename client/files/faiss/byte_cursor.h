// Numbers and arrays out of bytes that nobody vouches for.
#ifndef TIMBRE_CLIENT_FILES_FAISS_BYTE_CURSOR_H_
#define TIMBRE_CLIENT_FILES_FAISS_BYTE_CURSOR_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace timbre::client {

// An array in the file, which is not aligned there.
template <typename T>
class FileArray {
 public:
  FileArray() = default;
  explicit FileArray(absl::string_view bytes) : bytes_(bytes) {}
  uint64_t size() const { return bytes_.size() / sizeof(T); }
  T operator[](uint64_t i) const {
    T value;
    std::memcpy(&value, bytes_.data() + i * sizeof(T), sizeof(T));
    return value;
  }

 private:
  absl::string_view bytes_;
};

// Reads from the beginning to the end. After the first failure everything that
// is read is zero or empty. Not thread-safe.
class ByteCursor {
 public:
  explicit ByteCursor(absl::string_view bytes) : bytes_(bytes) {}

  bool ok() const { return failure_.empty(); }
  // What was wrong first, and where; empty if nothing was.
  const std::string& failure() const { return failure_; }
  uint64_t left() const { return ok() ? bytes_.size() - at_ : 0; }

  // Says what is wrong unless `good`.
  void Need(bool good, absl::string_view what) {
    if (good || !ok()) return;
    failure_ = absl::StrCat(what, " (byte ", at_, " of ", bytes_.size(), ")");
  }

  template <typename T>
  T Read() {
    const FileArray<T> one(Take(1, sizeof(T)));
    return one.size() == 1 ? one[0] : T();
  }
  // A bool: any other byte than 0 and 1 would be undefined behaviour.
  bool ReadFlag() {
    const auto byte = Read<uint8_t>();
    Need(byte <= 1, "a flag is neither 0 nor 1");
    return byte == 1;
  }
  // An array behind its own length.
  template <typename T>
  FileArray<T> ReadArray() {
    const auto count = Read<uint64_t>();
    return FileArray<T>(Take(count, sizeof(T)));
  }
  // `count` elements.
  absl::string_view Take(uint64_t count, uint64_t element_bytes) {
    Need(element_bytes == 0 || count <= left() / element_bytes,
         "it says that it holds more than it does");
    if (!ok()) return {};
    const absl::string_view taken = bytes_.substr(at_, count * element_bytes);
    at_ += taken.size();
    return taken;
  }

 private:
  const absl::string_view bytes_;
  uint64_t at_ = 0;
  std::string failure_;
};

}  // namespace timbre::client

#endif  // TIMBRE_CLIENT_FILES_FAISS_BYTE_CURSOR_H_
