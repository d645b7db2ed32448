// A faiss index of the user's own, read in the client: what conversion workers
// load today. Never used by the server.
#ifndef TIMBRE_CLIENT_FILES_FAISS_INDEX_FILE_H_
#define TIMBRE_CLIENT_FILES_FAISS_INDEX_FILE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/cpp/matrix.h"
#include "client/cpp/results.h"

namespace faiss {
struct Index;
}

namespace timbre::client {

// An open index. Thread-compatible.
class IndexFile {
 public:
  // INVALID_ARGUMENT, with the reason, where the file is damaged or of a kind
  // that is not read here (index_check.h), has ids of its own or holds no
  // frames (a trained_*.index); NOT_FOUND without a file.
  static absl::StatusOr<IndexFile> Open(const std::string& path);
  // The same of bytes in memory, which need not outlive the call; errors call
  // them `name`. Nothing else is read or kept: for fuzzers too.
  static absl::StatusOr<IndexFile> FromBytes(const std::string& name,
                                             absl::string_view bytes);
  IndexFile(IndexFile&&) noexcept;
  IndexFile& operator=(IndexFile&&) noexcept;
  ~IndexFile();

  uint64_t rows() const;
  uint32_t dimension() const;
  bool inner_product() const;
  // "L2", "inner product", "L1" ...
  std::string Metric() const;
  // Whether Metric is one that Timbre has too.
  bool known_metric() const;
  // "IndexIVFFlat, 2564 lists, nprobe 1".
  std::string Describe() const;

  // How far the frames that Read gives are from those that were added, as a
  // share of their mean length, and by what; a share of 0 is exact, NaN: not
  // known. Measured with frames made up for it.
  struct Loss {
    double share = 0;
    std::string by;  // "L2 normalisation", "codes of 16 bytes"
  };
  // By transforms, L2 normalisation and PCA among them: what they drop is gone.
  Loss TransformLoss() const;
  // By codes, which keep frames approximately.
  Loss CodeLoss() const;

  // Rows [first, first + count) as the index has them, in the order of its ids.
  // INVALID_ARGUMENT where this kind of index cannot give them.
  absl::StatusOr<FrameMatrix> Read(uint64_t first, uint64_t count) const;
  // As a worker does: with the nprobe that the file has, 1 unless somebody
  // changed it, on one thread.
  absl::StatusOr<SearchResult> Search(const FrameMatrix& queries,
                                      uint32_t k) const;

 private:
  IndexFile(std::string path, std::unique_ptr<faiss::Index> index);

  std::string path_;
  std::unique_ptr<faiss::Index> index_;
};

}  // namespace timbre::client

#endif  // TIMBRE_CLIENT_FILES_FAISS_INDEX_FILE_H_
