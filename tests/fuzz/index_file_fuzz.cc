// The workers' own faiss files as `timbre import` and `timbre compare` read
// them.
#include <cmath>

#include "client/files/faiss/index_file.h"
#include "tests/fuzz/fuzzing.h"
#include "tests/fuzz/refusals.h"

namespace timbre::fuzz {
namespace {

using client::IndexFile;

void Check(const IndexFile& index, size_t bytes) {
  const uint64_t rows = index.rows();
  const uint32_t dimension = index.dimension();
  Require(rows >= 1 && rows <= bytes, "rows are in the file");
  Require(dimension >= 1 && dimension <= bytes, "dimensions are in the file");
  RequireReadable(index.Metric());
  RequireReadable(index.Describe());
  for (const IndexFile::Loss& loss :
       {index.TransformLoss(), index.CodeLoss()}) {
    Require(!(loss.share < 0), "a loss is none or above zero");
  }
  const auto frames = index.Read(0, rows);
  if (frames.ok()) {
    Require(frames->rows == rows && frames->data.size() == rows * dimension,
            "every row is read");
  }
  const client::FrameMatrix queries{
      std::vector<float>(size_t{2} * dimension, 0.5F), 2, dimension};
  const auto found = index.Search(queries, 8);
  if (!found.ok()) return;
  for (const int64_t id : found->ids.data) {
    Require(id >= -1 && id < static_cast<int64_t>(rows), "ids are rows");
  }
}

}  // namespace
}  // namespace timbre::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using timbre::client::IndexFile;
  const absl::string_view file(reinterpret_cast<const char*>(data), size);
  const auto index = IndexFile::FromBytes("file", file);
  if (index.ok()) {
    timbre::fuzz::Check(*index, size);
    return 0;
  }
  timbre::fuzz::RequireReadable(index.status().message());
  timbre::fuzz::Require(
      index.status().code() == absl::StatusCode::kInvalidArgument,
      "a file is refused as such", index.status().ToString());
  return 0;
}
