#include "client/files/faiss/index_check.h"

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/files/faiss/byte_cursor.h"
#include "client/files/faiss/index_parts.h"
#include "server/base/errors.h"

namespace timbre::client {
namespace {

constexpr int kMaxDepth = 6;  // indices within indices
constexpr int32_t kMaxTransforms = 8;

// Walks one file. Each method checks what it is called after.
class Walker {
 public:
  explicit Walker(absl::string_view bytes) : file_(bytes) {}

  absl::Status Check() {
    Index(0);
    if (!file_.ok()) return Refused();
    return absl::OkStatus();
  }

 private:
  absl::Status Refused() const {
    const auto error = [](const char* reason, const std::string& text) {
      return MakeError(absl::StatusCode::kInvalidArgument, reason, text);
    };
    if (own_ids_) {
      return error("OWN_IDS",
                   "has ids of its own (IDMap), where Timbre's are row "
                   "numbers");
    }
    if (!unknown_.empty()) {
      return error("UNKNOWN_INDEX_KIND",
                   absl::StrCat("is no faiss index, or of a kind that is not "
                                "read here: '",
                                Printable(unknown_), "'"));
    }
    return error("NOT_A_FAISS_INDEX",
                 absl::StrCat("is damaged: ", file_.failure()));
  }

  IndexHead Index(int depth) {
    file_.Need(depth < kMaxDepth, "its indices are nested without end");
    const auto kind = file_.Read<uint32_t>();
    if (!file_.ok()) return {};
    switch (kind) {
      case Letters("IxFI"):
      case Letters("IxF2"):
      case Letters("IxFl"):
        return Flat();
      case Letters("IxPq"):
        return ProductQuantized();
      case Letters("IPfs"):
        return FastScan();
      case Letters("IxSQ"):
        return ScalarQuantized();
      case Letters("IHNf"):
        return Graph(depth);
      case Letters("IxPT"):
        return Transformed(depth);
      case Letters("IxRF"):
        return Refined(depth);
      case Letters("IwFl"):
      case Letters("IwSQ"):
      case Letters("IwSq"):
      case Letters("IwPQ"):
      case Letters("IwPf"):
        return Lists(kind, depth);
      default:
        own_ids_ = kind == Letters("IxMp") || kind == Letters("IxM2");
        unknown_.assign(reinterpret_cast<const char*>(&kind), sizeof(kind));
        file_.Need(false, "of unknown kind");
        return {};
    }
  }

  IndexHead Flat() {
    const IndexHead head = ReadHead(file_);
    const auto numbers = file_.ReadArray<float>();
    if (!file_.ok()) return {};
    NeedRows(head, numbers.size() / head.dimension,
             numbers.size() % head.dimension == 0);
    CheckNumbers(file_, numbers);
    return head;
  }

  IndexHead ProductQuantized() {
    const IndexHead head = ReadHead(file_);
    uint64_t digits = 0;
    uint64_t bits = 0;
    const uint64_t code =
        CheckProductQuantizer(file_, head.dimension, &digits, &bits);
    Codes(head, code);
    file_.Need(file_.Read<int32_t>() == 0, "it is searched in an unusual way");
    file_.ReadFlag();  // encode_signs
    file_.Need(file_.Read<int32_t>() >= 0, "it is searched in an unusual way");
    return head;
  }

  IndexHead ScalarQuantized() {
    const IndexHead head = ReadHead(file_);
    Codes(head, CheckScalarQuantizer(file_, head.dimension));
    return head;
  }

  IndexHead FastScan() {
    const IndexHead head = ReadHead(file_);
    uint64_t digits = 0;
    uint64_t bits = 0;
    CheckProductQuantizer(file_, head.dimension, &digits, &bits);
    const auto implementation = file_.Read<int32_t>();
    const auto block = file_.Read<int32_t>();
    const auto queries = file_.Read<int32_t>();
    const auto padded_rows = file_.Read<uint64_t>();
    const auto padded_digits = file_.Read<uint64_t>();
    const uint64_t bytes = file_.ReadArray<uint8_t>().size();
    NeedBlocks(implementation, block, queries, bits, digits, padded_digits);
    if (!file_.ok()) return {};
    const auto block_codes = static_cast<uint64_t>(block);
    const uint64_t block_bytes = block_codes * padded_digits / 2;
    // Bytes first: the number of rows may be anything.
    file_.Need(bytes % block_bytes == 0 &&
                   padded_rows == bytes / block_bytes * block_codes &&
                   head.rows <= padded_rows &&
                   padded_rows - head.rows < block_codes,
               "it has more rows than codes");
    return head;
  }

  IndexHead Graph(int depth) {
    const IndexHead head = ReadHead(file_);
    CheckGraph(file_, head.rows);
    file_.Need(PeekKind() == Letters("IxF2") || PeekKind() == Letters("IxFI") ||
                   PeekKind() == Letters("IxFl"),
               "its graph is not over frames");
    Same(head, Index(depth + 1));
    return head;
  }

  IndexHead Transformed(int depth) {
    const IndexHead head = ReadHead(file_);
    const auto count = file_.Read<int32_t>();
    file_.Need(count >= 1 && count <= kMaxTransforms,
               absl::StrCat("it has ", count, " transforms"));
    uint32_t dimension = head.dimension;
    for (int32_t i = 0; i < count && file_.ok(); ++i) {
      const Transform transform = CheckTransform(file_);
      file_.Need(transform.from == dimension,
                 "its transforms do not fit each other");
      dimension = transform.to;
    }
    Same({head.rows, dimension}, Index(depth + 1));
    return head;
  }

  IndexHead Refined(int depth) {
    const IndexHead head = ReadHead(file_);
    Same(head, Index(depth + 1));
    Same(head, Index(depth + 1));
    const auto k_factor = file_.Read<float>();
    file_.Need(k_factor >= 1 && k_factor <= 10'000,
               absl::StrCat("its k_factor is ", k_factor));
    return head;
  }

  IndexHead Lists(uint32_t kind, int depth) {
    const IndexHead head = ReadHead(file_);
    const auto nlist = file_.Read<uint64_t>();
    const auto nprobe = file_.Read<uint64_t>();
    file_.Need(nlist >= 1 && nprobe >= 1, "it has no lists, or visits none");
    Centroids({nlist, head.dimension}, depth + 1);
    CheckDirectMap(file_, head.rows);
    if (!file_.ok()) return {};
    switch (kind) {
      case Letters("IwFl"):
        CheckLists(file_, nlist, head.rows,
                   uint64_t{head.dimension} * sizeof(float), ListsOf::kFrames);
        break;
      case Letters("IwPf"):
        FastScanLists(head, nlist);
        break;
      case Letters("IwPQ"):
        ProductLists(head, nlist);
        break;
      default: {
        const uint64_t code = CheckScalarQuantizer(file_, head.dimension);
        file_.Need(file_.Read<uint64_t>() == code, kOtherCodes);
        if (kind == Letters("IwSq")) file_.ReadFlag();  // by_residual
        if (file_.ok()) CheckLists(file_, nlist, head.rows, code);
      }
    }
    return head;
  }

  void ProductLists(const IndexHead& head, uint64_t nlist) {
    file_.ReadFlag();  // by_residual
    const auto code_bytes = file_.Read<uint64_t>();
    uint64_t digits = 0;
    uint64_t bits = 0;
    const uint64_t code =
        CheckProductQuantizer(file_, head.dimension, &digits, &bits);
    file_.Need(code_bytes == code, kOtherCodes);
    if (file_.ok()) CheckLists(file_, nlist, head.rows, code);
  }

  void FastScanLists(const IndexHead& head, uint64_t nlist) {
    file_.ReadFlag();  // by_residual
    const auto code_bytes = file_.Read<uint64_t>();
    const auto block = file_.Read<int32_t>();
    const auto padded_digits = file_.Read<uint64_t>();
    const auto implementation = file_.Read<int32_t>();
    const auto queries = file_.Read<uint64_t>();
    uint64_t digits = 0;
    uint64_t bits = 0;
    const uint64_t code =
        CheckProductQuantizer(file_, head.dimension, &digits, &bits);
    file_.Need(code_bytes == code, kOtherCodes);
    NeedBlocks(implementation, block, queries, bits, digits, padded_digits);
    if (!file_.ok()) return;
    const auto block_codes = static_cast<uint64_t>(block);
    CheckBlockLists(file_, nlist, head.rows, code, block_codes,
                    block_codes * padded_digits / 2);
  }

  // What the lists are found by: one row per list.
  void Centroids(const IndexHead& expected, int depth) {
    file_.Need(PeekKind() == Letters("IxF2") || PeekKind() == Letters("IxFI") ||
                   PeekKind() == Letters("IxFl") ||
                   PeekKind() == Letters("IHNf"),
               "its lists are found by an index of another kind than Flat and "
               "HNSW");
    Same(expected, Index(depth));
  }

  void Codes(const IndexHead& head, uint64_t code_bytes) {
    const uint64_t bytes = file_.ReadArray<uint8_t>().size();
    if (file_.ok()) {
      NeedRows(head, bytes / code_bytes, bytes % code_bytes == 0);
    }
  }

  void NeedBlocks(int32_t implementation, int32_t block, uint64_t queries,
                  uint64_t bits, uint64_t digits, uint64_t padded_digits) {
    file_.Need(implementation == 0 && queries == 0 && bits == 4 && block > 0 &&
                   block % 32 == 0 && block <= 4096 &&
                   padded_digits == (digits + 1) / 2 * 2,
               "its blocks of codes have an unusual form");
  }

  void NeedRows(const IndexHead& head, uint64_t rows, bool whole) {
    file_.Need(whole && rows == head.rows,
               absl::StrCat("it says that it has ", head.rows,
                            " rows, and has ", rows));
  }

  void Same(const IndexHead& expected, const IndexHead& found) {
    file_.Need(
        expected.rows == found.rows && expected.dimension == found.dimension,
        "the indices that it is made of do not fit each other");
  }

  uint32_t PeekKind() {
    ByteCursor ahead = file_;
    return ahead.Read<uint32_t>();
  }

  static constexpr char kOtherCodes[] = "its codes are of another size";

  ByteCursor file_;
  bool own_ids_ = false;
  std::string unknown_;  // four letters
};

}  // namespace

absl::Status CheckIndex(absl::string_view file) { return Walker(file).Check(); }

}  // namespace timbre::client
