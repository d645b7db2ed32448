#include "client/files/npy_format.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "server/base/errors.h"
#include "server/base/half.h"
#include "server/base/status_macros.h"

namespace timbre::client {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr absl::string_view kMagic = "\x93NUMPY";
constexpr uint64_t kMaxColumns = 65536;
// numpy itself refuses longer ones (max_header_size is 10,000).
constexpr size_t kMaxHeader = 60'000;

absl::Status Bad(absl::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_NPY_FILE", what);
}

uint64_t LittleEndian(absl::string_view bytes) {
  uint64_t number = 0;
  std::memcpy(&number, bytes.data(), bytes.size());
  return number;
}

// Reads a Python dictionary as numpy writes them:
// {'descr': '<f4', 'fortran_order': False, 'shape': (3, 256), }
class Literal {
 public:
  explicit Literal(absl::string_view text) : rest_(text) {}

  // Whether `c` comes next; takes it.
  bool Take(char c) {
    rest_ = absl::StripLeadingAsciiWhitespace(rest_);
    return absl::ConsumePrefix(&rest_, absl::string_view(&c, 1));
  }
  bool TakeWord(absl::string_view word) {
    rest_ = absl::StripLeadingAsciiWhitespace(rest_);
    return absl::ConsumePrefix(&rest_, word);
  }
  // 'text' or "text", without escapes.
  std::optional<absl::string_view> TakeString() {
    const char quote = Take('\'') ? '\'' : '"';
    if (quote == '"' && !Take('"')) return std::nullopt;
    const size_t end = rest_.find(quote);
    if (end == absl::string_view::npos) return std::nullopt;
    const absl::string_view text = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return text;
  }
  // The digits and signs of a number; Python 2 wrote 3L.
  absl::string_view TakeNumber() {
    rest_ = absl::StripLeadingAsciiWhitespace(rest_);
    size_t end = 0;
    while (end < rest_.size() &&
           (absl::ascii_isdigit(static_cast<unsigned char>(rest_[end])) ||
            rest_[end] == '-' || rest_[end] == '+')) {
      ++end;
    }
    const absl::string_view number = rest_.substr(0, end);
    rest_.remove_prefix(end);
    absl::ConsumePrefix(&rest_, "L");
    return number;
  }
  bool AtEnd() { return absl::StripLeadingAsciiWhitespace(rest_).empty(); }

 private:
  absl::string_view rest_;
};

// The header's three fields.
struct Fields {
  std::string type;
  std::optional<bool> fortran_order;
  std::optional<std::vector<std::string>> shape;
};

std::optional<std::vector<std::string>> TakeShape(Literal& literal) {
  std::vector<std::string> shape;
  if (!literal.Take('(')) return std::nullopt;
  while (!literal.Take(')')) {
    const absl::string_view number = literal.TakeNumber();
    if (number.empty()) return std::nullopt;
    shape.emplace_back(number);
    if (literal.Take(',')) continue;
    if (!literal.Take(')')) return std::nullopt;
    break;
  }
  return shape;
}

bool TakeField(Literal& literal, Fields& fields) {
  const auto key = literal.TakeString();
  if (!key || !literal.Take(':')) return false;
  if (*key == "descr") {
    const auto type = literal.TakeString();
    if (type) fields.type = std::string(*type);
    return type.has_value();
  }
  if (*key == "fortran_order") {
    const bool yes = literal.TakeWord("True");
    fields.fortran_order = yes;
    return yes || literal.TakeWord("False");
  }
  if (*key != "shape") return false;
  fields.shape = TakeShape(literal);
  return fields.shape.has_value();
}

std::optional<Fields> ParseFields(absl::string_view text) {
  Literal literal(text);
  Fields fields;
  if (!literal.Take('{')) return std::nullopt;
  while (!literal.Take('}')) {
    if (!TakeField(literal, fields)) return std::nullopt;
    if (literal.Take(',')) continue;
    if (!literal.Take('}')) return std::nullopt;
    break;
  }
  const bool whole = literal.AtEnd() && !fields.type.empty() &&
                     fields.fortran_order && fields.shape;
  return whole ? std::make_optional(std::move(fields)) : std::nullopt;
}

absl::Status ReadType(absl::string_view type, NpyHeader& header) {
  absl::string_view kind = type;
  header.big_endian = absl::ConsumePrefix(&kind, ">");
  if (!header.big_endian && !absl::ConsumePrefix(&kind, "<") &&
      !absl::ConsumePrefix(&kind, "=")) {
    absl::ConsumePrefix(&kind, "|");
  }
  if (kind != "f2" && kind != "f4" && kind != "f8") {
    return Bad(absl::StrCat("holds '", Printable(type),
                            "'; expected float16, float32 or float64"));
  }
  header.element_bytes = static_cast<uint32_t>(kind[1] - '0');
  return absl::OkStatus();
}

absl::Status ReadShape(const std::vector<std::string>& shape,
                       uint64_t data_bytes, NpyHeader& header) {
  const std::string text =
      absl::StrCat("(", Printable(absl::StrJoin(shape, ", ")),
                   shape.size() == 1 ? ",)" : ")");
  uint64_t columns = 0;
  if (shape.size() != 2) {
    return Bad(absl::StrCat("has shape ", text,
                            "; expected [frames, "
                            "dimension]"));
  }
  if (!absl::SimpleAtoi(shape[0], &header.rows) ||
      !absl::SimpleAtoi(shape[1], &columns) || shape[0][0] == '-' ||
      shape[1][0] == '-') {
    return Bad(absl::StrCat("has shape ", text, ", which no array has"));
  }
  if (columns == 0 || columns > kMaxColumns) {
    return Bad(absl::StrCat("has dimension ", columns, "; expected 1 to ",
                            kMaxColumns));
  }
  header.columns = static_cast<uint32_t>(columns);
  const uint64_t row_bytes = columns * header.element_bytes;
  if (header.rows > data_bytes / row_bytes) {
    return Bad(absl::StrCat("has shape ", text, ", but ends in row ",
                            data_bytes / row_bytes));
  }
  return absl::OkStatus();
}

template <typename Bits, typename Convert>
void ReadElements(const char* data, const NpyHeader& header, Convert convert,
                  FrameMatrix& matrix) {
  const uint64_t row_step = header.fortran_order ? 1 : header.columns;
  const uint64_t column_step = header.fortran_order ? header.rows : 1;
  float* out = matrix.data.data();
  for (uint64_t i = 0; i < header.rows; ++i) {
    for (uint64_t j = 0; j < header.columns; ++j) {
      char bytes[sizeof(Bits)];
      std::memcpy(bytes, data + (i * row_step + j * column_step) * sizeof(Bits),
                  sizeof(Bits));
      if (header.big_endian) std::reverse(bytes, bytes + sizeof(Bits));
      *out++ = convert(std::bit_cast<Bits>(bytes));
    }
  }
}

}  // namespace

absl::StatusOr<NpyHeader> ParseNpyHeader(absl::string_view head,
                                         uint64_t file_bytes) {
  if (!absl::StartsWith(head, kMagic) || head.size() < 10) {
    return Bad("is no .npy file");
  }
  const auto major = static_cast<unsigned char>(head[6]);
  const auto minor = static_cast<unsigned char>(head[7]);
  if (major < 1 || major > 3 || minor != 0) {
    return Bad(absl::StrCat("is a .npy file of version ", major, ".", minor,
                            "; expected 1.0 to 3.0"));
  }
  const size_t length_bytes = major == 1 ? 2 : 4;
  if (head.size() < 8 + length_bytes) return Bad("ends in its header");
  const uint64_t length = LittleEndian(head.substr(8, length_bytes));
  NpyHeader header;
  header.data_offset = 8 + length_bytes + length;
  if (length > kMaxHeader || header.data_offset > head.size()) {
    return Bad("ends in its header");
  }
  const auto fields = ParseFields(head.substr(8 + length_bytes, length));
  if (!fields) return Bad("has a header that is none of numpy's");
  header.fortran_order = *fields->fortran_order;
  TIMBRE_RETURN_IF_ERROR(ReadType(fields->type, header));
  TIMBRE_RETURN_IF_ERROR(
      ReadShape(*fields->shape, file_bytes - header.data_offset, header));
  return header;
}

absl::StatusOr<FrameMatrix> ParseNpy(absl::string_view file) {
  TIMBRE_ASSIGN_OR_RETURN(const NpyHeader header,
                          ParseNpyHeader(file, file.size()));
  FrameMatrix matrix;
  matrix.rows = header.rows;
  matrix.columns = header.columns;
  matrix.data.resize(header.rows * header.columns);
  const char* const data = file.data() + header.data_offset;
  switch (header.element_bytes) {
    case 2:
      ReadElements<uint16_t>(data, header, HalfToFloat, matrix);
      break;
    case 4:
      ReadElements<float>(
          data, header, [](float x) { return x; }, matrix);
      break;
    default:
      ReadElements<double>(
          data, header, [](double x) { return static_cast<float>(x); }, matrix);
  }
  return matrix;
}

std::string MakeNpyHeader(absl::string_view type, uint64_t rows,
                          uint64_t columns) {
  std::string text =
      absl::StrCat("{'descr': '", type, "', 'fortran_order': False, 'shape': (",
                   rows, ", ", columns, "), }");
  constexpr size_t kBefore = 10;  // magic, version, length
  // The elements begin at a multiple of 64, behind a line feed.
  text.resize((kBefore + text.size() + 1 + 63) / 64 * 64 - kBefore, ' ');
  text.back() = '\n';
  const auto length = static_cast<uint16_t>(text.size());
  std::string header(kMagic);
  header.append({'\1', '\0', static_cast<char>(length & 0xFF),
                 static_cast<char>(length >> 8)});
  return header + text;
}

}  // namespace timbre::client
