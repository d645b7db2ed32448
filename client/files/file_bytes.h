// A file of a user's as bytes in memory.
#ifndef TIMBRE_CLIENT_FILES_FILE_BYTES_H_
#define TIMBRE_CLIENT_FILES_FILE_BYTES_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/mapped_file.h"

namespace timbre::client {

// A regular file is mapped, anything else (a pipe) is read whole. Thread-safe.
class FileBytes {
 public:
  // NOT_FOUND, or INVALID_ARGUMENT for a directory; the text holds the path.
  static absl::StatusOr<FileBytes> Open(const std::string& path);

  absl::string_view bytes() const {
    return mapped_ != nullptr
               ? absl::string_view(mapped_->data(), mapped_->size())
               : absl::string_view(read_);
  }
  // DATA_LOSS if the file has changed under the reader: what was read is to be
  // thrown away.
  absl::Status Check() const;

 private:
  std::unique_ptr<MappedFile> mapped_;
  std::string read_;
};

}  // namespace timbre::client

#endif  // TIMBRE_CLIENT_FILES_FILE_BYTES_H_
