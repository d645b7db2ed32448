// Bytes of a file that is composed on the fly, never held in memory.
#ifndef TIMBRE_SERVER_ENGINE_FAISS_BYTE_SOURCE_H_
#define TIMBRE_SERVER_ENGINE_FAISS_BYTE_SOURCE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "server/base/file_system.h"

namespace timbre {

// A sequence of pieces, made one after the other as they are asked for. Not
// thread-safe.
class ByteSource {
 public:
  // No piece is larger.
  static constexpr size_t kMaxPieceBytes = (1 << 20) - 1024;

  // Makes a segment's next piece, of at most kMaxPieceBytes; an empty one ends
  // the segment.
  using Producer = std::function<absl::Status(std::string* piece)>;

  void AddBytes(std::string bytes);  // at most kMaxPieceBytes
  void AddProducer(Producer producer) {
    segments_.push_back(std::move(producer));
  }

  // The next piece; an empty one is the end.
  absl::Status Next(std::string* piece);

 private:
  std::vector<Producer> segments_;
  size_t current_ = 0;
};

// Writes everything that `source` has to a new file, and syncs it.
absl::Status WriteToFile(ByteSource& source, const std::string& path,
                         FileSystem& files = FileSystem::Posix());

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_FAISS_BYTE_SOURCE_H_
