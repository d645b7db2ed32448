#include "client/files/faiss/index_file.h"

#include <faiss/Index.h>
#include <faiss/IndexIVF.h>
#include <faiss/IndexIVFPQFastScan.h>
#include <faiss/IndexPreTransform.h>
#include <faiss/IndexRefine.h>
#include <faiss/impl/io.h>
#include <faiss/index_io.h>
#include <faiss/invlists/InvertedLists.h>
#include <omp.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/files/faiss/index_check.h"
#include "client/files/faiss/loss.h"
#include "client/files/file_bytes.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"

namespace timbre::client {
namespace {

absl::Status Refused(const std::string& path, const char* reason,
                     absl::string_view why) {
  return MakeError(absl::StatusCode::kInvalidArgument, reason,
                   absl::StrCat(path, ": ", why));
}

class BytesReader : public faiss::IOReader {
 public:
  explicit BytesReader(absl::string_view bytes) : rest_(bytes) {}
  size_t operator()(void* to, size_t size, size_t count) override {
    // An empty array has no place to copy to.
    if (size == 0 || count == 0) return count;
    const size_t given = std::min(count, rest_.size() / size);
    std::memcpy(to, rest_.data(), given * size);
    rest_.remove_prefix(given * size);
    return given;
  }

 private:
  absl::string_view rest_;
};

// faiss's text without function and source line.
std::string TextOf(const std::exception& error) {
  const std::string text = error.what();
  const size_t colon = text.rfind(": ");
  return text.substr(colon == std::string::npos ? 0 : colon + 2, 200);
}

// The inverted lists below refining and transforming, nullptr without any.
faiss::IndexIVF* ListsOf(faiss::Index* index) {
  if (auto* refine = dynamic_cast<faiss::IndexRefine*>(index)) {
    return ListsOf(refine->base_index);
  }
  if (auto* chain = dynamic_cast<faiss::IndexPreTransform*>(index)) {
    return ListsOf(chain->index);
  }
  return dynamic_cast<faiss::IndexIVF*>(index);
}

// faiss 1.11 reads such an index without what decodes its rows, and follows the
// null pointer when they are asked for; 1.7 has no such pointer.
template <typename FastScan>
void RestoreDecoder(FastScan& index) {
  if constexpr (requires { index.fine_quantizer; }) {
    if (index.fine_quantizer == nullptr) index.fine_quantizer = &index.pq;
  }
}

void RestoreDecoders(faiss::Index* index) {
  if (auto* refine = dynamic_cast<faiss::IndexRefine*>(index)) {
    RestoreDecoders(refine->base_index);
    RestoreDecoders(refine->refine_index);
  } else if (auto* chain = dynamic_cast<faiss::IndexPreTransform*>(index)) {
    RestoreDecoders(chain->index);
  } else if (auto* lists = dynamic_cast<faiss::IndexIVFPQFastScan*>(index)) {
    RestoreDecoder(*lists);
  }
}

const char* KindOf(const faiss::Index& index) {
  if (dynamic_cast<const faiss::IndexRefine*>(&index)) return "refine index";
  if (dynamic_cast<const faiss::IndexPreTransform*>(&index)) {
    return "transformed index";
  }
  return dynamic_cast<const faiss::IndexIVF*>(&index) ? "IVF index"
                                                      : "flat index";
}

// Whether the lists hold the ids 0 .. ntotal-1, each once: rows by number.
bool HasPlainIds(const faiss::IndexIVF& index) {
  std::vector<bool> seen(static_cast<size_t>(index.ntotal));
  for (size_t list = 0; list < index.nlist; ++list) {
    faiss::InvertedLists::ScopedIds ids(index.invlists, list);
    for (size_t i = 0; i < index.invlists->list_size(list); ++i) {
      const int64_t id = ids.get()[i];
      if (id < 0 || id >= index.ntotal || seen[static_cast<size_t>(id)]) {
        return false;
      }
      seen[static_cast<size_t>(id)] = true;
    }
  }
  return true;
}

}  // namespace

IndexFile::IndexFile(std::string path, std::unique_ptr<faiss::Index> index)
    : path_(std::move(path)), index_(std::move(index)) {}
IndexFile::IndexFile(IndexFile&&) noexcept = default;
IndexFile& IndexFile::operator=(IndexFile&&) noexcept = default;
IndexFile::~IndexFile() = default;

absl::StatusOr<IndexFile> IndexFile::Open(const std::string& path) {
  TIMBRE_ASSIGN_OR_RETURN(const FileBytes file, FileBytes::Open(path));
  absl::StatusOr<IndexFile> index = FromBytes(path, file.bytes());
  TIMBRE_RETURN_IF_ERROR(file.Check());
  return index;
}

absl::StatusOr<IndexFile> IndexFile::FromBytes(const std::string& name,
                                               absl::string_view bytes) {
  const absl::Status checked = CheckIndex(bytes);
  if (!checked.ok()) return Annotate(checked, name);
  std::unique_ptr<faiss::Index> index;
  try {
    BytesReader reader(bytes);
    // The tables that it would make may be much larger than the file.
    index.reset(
        faiss::read_index(&reader, faiss::IO_FLAG_SKIP_PRECOMPUTE_TABLE));
  } catch (const std::exception& error) {
    return Refused(name, "NOT_A_FAISS_INDEX",
                   absl::StrCat("faiss cannot read it: ", TextOf(error)));
  }
  RestoreDecoders(index.get());
  if (index->ntotal == 0) {
    return Refused(name, "NO_FRAMES_IN_INDEX",
                   "holds no frames: it was trained, but nothing was added "
                   "(RVC's trained_*.index). The added_*.index beside it has "
                   "them, or build from the features themselves");
  }
  if (faiss::IndexIVF* const lists = ListsOf(index.get())) {
    if (!HasPlainIds(*lists)) {
      return Refused(name, "OWN_IDS",
                     "its ids are not 0, 1, 2 ... each once, so rows have no "
                     "order to take over");
    }
    // More is the same; but some kinds make room for as many as it says.
    lists->nprobe = std::min(lists->nprobe, lists->nlist);
  }
  return IndexFile(name, std::move(index));
}

uint64_t IndexFile::rows() const {
  return static_cast<uint64_t>(index_->ntotal);
}
uint32_t IndexFile::dimension() const {
  return static_cast<uint32_t>(index_->d);
}
bool IndexFile::inner_product() const {
  return index_->metric_type == faiss::METRIC_INNER_PRODUCT;
}
bool IndexFile::known_metric() const {
  return inner_product() || index_->metric_type == faiss::METRIC_L2;
}

std::string IndexFile::Metric() const {
  switch (index_->metric_type) {
    case faiss::METRIC_L2:
      return "L2";
    case faiss::METRIC_INNER_PRODUCT:
      return "inner product";
    case faiss::METRIC_L1:
      return "L1";
    case faiss::METRIC_Linf:
      return "Linf";
    case faiss::METRIC_Lp:
      return "Lp";
    default:
      return absl::StrCat("faiss's number ",
                          static_cast<int>(index_->metric_type));
  }
}

IndexFile::Loss IndexFile::TransformLoss() const {
  return MeasureTransforms(RowsOf(*index_).transforms);
}

IndexFile::Loss IndexFile::CodeLoss() const {
  return MeasureCodes(*RowsOf(*index_).holder);
}

std::string IndexFile::Describe() const {
  const faiss::IndexIVF* const lists = ListsOf(index_.get());
  return lists == nullptr ? KindOf(*index_)
                          : absl::StrCat(KindOf(*index_), " of ", lists->nlist,
                                         " lists, nprobe ", lists->nprobe);
}

absl::StatusOr<FrameMatrix> IndexFile::Read(uint64_t first,
                                            uint64_t count) const {
  FrameMatrix rows;
  rows.rows = count;
  rows.columns = dimension();
  rows.data.resize(count * dimension());
  try {
    index_->reconstruct_n(static_cast<int64_t>(first),
                          static_cast<int64_t>(count), rows.data.data());
  } catch (const std::exception& error) {
    return Refused(path_, "NOT_RECONSTRUCTIBLE",
                   absl::StrCat("this kind of index cannot give its frames "
                                "back: ",
                                TextOf(error)));
  }
  return rows;
}

absl::StatusOr<SearchResult> IndexFile::Search(const FrameMatrix& queries,
                                               uint32_t k) const {
  SearchResult found;
  found.ids.rows = found.distances.rows = queries.rows;
  found.ids.columns = found.distances.columns = k;
  found.ids.data.resize(queries.rows * k);
  found.distances.data.resize(queries.rows * k);
  omp_set_num_threads(1);
  try {
    index_->search(static_cast<int64_t>(queries.rows), queries.data.data(), k,
                   found.distances.data.data(), found.ids.data.data());
  } catch (const std::exception& error) {
    return Refused(path_, "NOT_SEARCHABLE", TextOf(error));
  }
  return found;
}

}  // namespace timbre::client
