// A faiss index of the user's own, read in the client: what conversion workers
// load today. Never used by the server.
#ifndef TIMBRE_CLIENT_FAISS_INDEX_FILE_H_
#define TIMBRE_CLIENT_FAISS_INDEX_FILE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cpp/matrix.h"
#include "client/cpp/results.h"

namespace faiss {
struct Index;
}

namespace timbre::client {

// An open index. Thread-compatible.
class IndexFile {
 public:
  // INVALID_ARGUMENT, with the reason, where faiss cannot read the file or it
  // holds no frames (a trained_*.index); NOT_FOUND without a file.
  static absl::StatusOr<IndexFile> Open(const std::string& path);
  IndexFile(IndexFile&&) noexcept;
  IndexFile& operator=(IndexFile&&) noexcept;
  ~IndexFile();

  uint64_t rows() const;
  uint32_t dimension() const;
  bool inner_product() const;
  // Whether Read gives approximations: the index keeps codes, not frames.
  bool lossy() const;
  // "IndexIVFFlat, 2564 lists, nprobe 1".
  std::string Describe() const;

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

#endif  // TIMBRE_CLIENT_FAISS_INDEX_FILE_H_
