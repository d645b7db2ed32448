#include "server/engine/faiss/byte_source.h"

#include "server/base/status_macros.h"

namespace timbre {

void ByteSource::AddBytes(std::string bytes) {
  AddProducer([bytes = std::move(bytes)](std::string* piece) mutable {
    *piece = std::exchange(bytes, std::string());
    return absl::OkStatus();
  });
}

absl::Status ByteSource::Next(std::string* piece) {
  piece->clear();
  while (piece->empty() && current_ < segments_.size()) {
    TIMBRE_RETURN_IF_ERROR(segments_[current_](piece));
    if (piece->empty()) ++current_;
  }
  return absl::OkStatus();
}

absl::Status WriteToFile(ByteSource& source, const std::string& path,
                         FileSystem& files) {
  TIMBRE_ASSIGN_OR_RETURN(OutputFile file, OutputFile::Create(path, files));
  std::string piece;
  while (true) {
    TIMBRE_RETURN_IF_ERROR(source.Next(&piece));
    if (piece.empty()) return file.Sync();
    TIMBRE_RETURN_IF_ERROR(file.Append(piece.data(), piece.size()));
  }
}

}  // namespace timbre
