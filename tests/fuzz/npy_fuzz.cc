// .npy files as the client reads them.

#include "absl/strings/str_cat.h"
#include "client/files/npy_format.h"
#include "server/engine/frames/npy_header.h"
#include "tests/fuzz/fuzzing.h"
#include "tests/fuzz/refusals.h"

namespace timbre::fuzz {
namespace {

using client::ParseNpy;

absl::string_view BytesOf(const std::vector<float>& numbers) {
  return {reinterpret_cast<const char*>(numbers.data()),
          numbers.size() * sizeof(float)};
}

// Any bytes.
void Read(const std::string& file) {
  const auto header = client::ParseNpyHeader(file, file.size());
  const auto matrix = ParseNpy(file);
  if (!matrix.ok()) {
    RequireReadable(matrix.status().message());
    Require(matrix.status().code() == absl::StatusCode::kInvalidArgument,
            "a file is refused as such", matrix.status().ToString());
    return;
  }
  Require(header.ok() && header->rows == matrix->rows &&
              header->columns == matrix->columns,
          "rows are counted as read");
  Require(matrix->columns >= 1 &&
              matrix->data.size() == matrix->rows * matrix->columns,
          "a matrix is whole");
  Require(matrix->data.size() * 2 <= file.size(),
          "no more comes out than is in the file");
  const auto again = ParseNpy(
      absl::StrCat(client::MakeNpyHeader("<f4", matrix->rows, matrix->columns),
                   BytesOf(matrix->data)));
  Require(again.ok() && again->rows == matrix->rows &&
              again->columns == matrix->columns &&
              BytesOf(again->data) == BytesOf(matrix->data),
          "a matrix survives the round trip", again.status().ToString());
}

// What the server writes, over any numbers.
void ReadStored(Bytes& bytes) {
  const uint64_t rows = bytes.Number(0, 40);
  const auto dimension = static_cast<uint32_t>(bytes.Number(2, 40));
  const ElementType type =
      bytes.Number(0, 1) == 0 ? ElementType::kFloat32 : ElementType::kFloat16;
  std::string numbers = bytes.Text(rows * dimension * BytesPerElement(type));
  numbers.resize(rows * dimension * BytesPerElement(type));
  const auto matrix =
      ParseNpy(absl::StrCat(NpyHeader(type, rows, dimension), numbers));
  Require(matrix.ok() && matrix->rows == rows && matrix->columns == dimension,
          "clients read what the server writes", matrix.status().ToString());
  Require(type == ElementType::kFloat16 || BytesOf(matrix->data) == numbers,
          "clients read the server's numbers");
}

}  // namespace
}  // namespace timbre::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  timbre::fuzz::Bytes bytes(data, size);
  if (bytes.Take<uint8_t>() % 4 == 0) {
    timbre::fuzz::ReadStored(bytes);
  } else {
    timbre::fuzz::Read(bytes.Rest());
  }
  return 0;
}
