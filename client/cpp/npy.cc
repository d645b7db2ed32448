#include "client/cpp/npy.h"

#include <exception>
#include <fstream>
#include <vector>
#include <xtensor/xadapt.hpp>
#include <xtensor/xnpy.hpp>

#include "absl/strings/str_cat.h"
#include "client/cpp/output.h"
#include "server/base/errors.h"
#include "server/base/half.h"
#include "server/base/status_macros.h"

namespace timbre::client {
namespace {

struct Header {
  std::string type;  // "<f4"
  bool fortran_order = false;
  std::vector<size_t> shape;
};

absl::Status Bad(const std::string& path, absl::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_NPY_FILE",
                   absl::StrCat(path, ": ", what));
}

absl::StatusOr<Header> ReadHeader(const std::string& path,
                                  std::istream& stream) {
  Header header;
  try {  // xtensor throws
    unsigned char major = 0;
    unsigned char minor = 0;
    xt::detail::read_magic(stream, &major, &minor);
    const std::string text = major == 1 ? xt::detail::read_header_1_0(stream)
                                        : xt::detail::read_header_2_0(stream);
    xt::detail::parse_header(text, header.type, &header.fortran_order,
                             header.shape);
  } catch (const std::exception& error) {
    return Bad(path, absl::StrCat("is no .npy file (", error.what(), ")"));
  }
  return header;
}

// Opens `path` and leaves `stream` behind the header of a matrix.
absl::StatusOr<Header> OpenMatrix(const std::string& path,
                                  std::ifstream& stream) {
  stream.open(path, std::ios::binary);
  if (!stream) {
    return MakeError(absl::StatusCode::kNotFound, "FILE_NOT_FOUND",
                     absl::StrCat(path, ": cannot be opened"));
  }
  TIMBRE_ASSIGN_OR_RETURN(Header header, ReadHeader(path, stream));
  if (header.shape.size() != 2 || header.fortran_order) {
    return Bad(path, "is not a C-ordered array [frames, dimension]");
  }
  if (header.shape[1] == 0 || header.shape[1] > 65536) {
    return Bad(path, absl::StrCat("has dimension ", header.shape[1]));
  }
  return header;
}

template <typename T, typename Convert>
absl::Status ReadRows(const std::string& path, std::istream& stream,
                      Convert convert, FrameMatrix& matrix) {
  std::vector<T> row(matrix.columns);
  for (uint64_t i = 0; i < matrix.rows; ++i) {
    stream.read(reinterpret_cast<char*>(row.data()),
                static_cast<std::streamsize>(row.size() * sizeof(T)));
    if (!stream) {
      return Bad(path, absl::StrCat("ends in row ", i, " of ", matrix.rows));
    }
    for (const T value : row) matrix.data.push_back(convert(value));
  }
  return absl::OkStatus();
}

template <typename T>
absl::Status Write(const std::string& path, const Matrix<T>& matrix) {
  const std::vector<size_t> shape = {matrix.rows, matrix.columns};
  const std::string bytes = xt::dump_npy(xt::adapt(matrix.data, shape));
  return WriteWhole(path, [&bytes](OutputFile& file) {
    return file.Append(bytes.data(), bytes.size());
  });
}

}  // namespace

absl::StatusOr<uint64_t> CountNpyRows(const std::string& path) {
  std::ifstream stream;
  TIMBRE_ASSIGN_OR_RETURN(const Header header, OpenMatrix(path, stream));
  return uint64_t{header.shape[0]};
}

absl::StatusOr<FrameMatrix> ReadNpy(const std::string& path) {
  std::ifstream stream;
  TIMBRE_ASSIGN_OR_RETURN(const Header header, OpenMatrix(path, stream));
  FrameMatrix matrix;
  matrix.rows = header.shape[0];
  matrix.columns = static_cast<uint32_t>(header.shape[1]);
  absl::Status status;
  if (header.type == "<f4") {
    status = ReadRows<float>(
        path, stream, [](float x) { return x; }, matrix);
  } else if (header.type == "<f2") {
    status = ReadRows<uint16_t>(path, stream, HalfToFloat, matrix);
  } else if (header.type == "<f8") {
    status = ReadRows<double>(
        path, stream, [](double x) { return static_cast<float>(x); }, matrix);
  } else {
    status = Bad(path, absl::StrCat("holds '", Printable(header.type),
                                    "'; expected float16, float32 or float64"));
  }
  if (!status.ok()) return status;
  return matrix;
}

absl::Status WriteNpy(const std::string& path, const Matrix<float>& matrix) {
  return Write(path, matrix);
}

absl::Status WriteNpy(const std::string& path, const Matrix<int64_t>& matrix) {
  return Write(path, matrix);
}

}  // namespace timbre::client
