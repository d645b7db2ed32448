#include "client/faiss/index_file.h"

#include <faiss/Index.h>
#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIDMap.h>
#include <faiss/IndexIVF.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/IndexPreTransform.h>
#include <faiss/IndexRefine.h>
#include <faiss/index_io.h>
#include <faiss/invlists/InvertedLists.h>
#include <omp.h>

#include <exception>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"

namespace timbre::client {
namespace {

absl::Status Refused(const std::string& path, const char* reason,
                     absl::string_view why) {
  return MakeError(absl::StatusCode::kInvalidArgument, reason,
                   absl::StrCat(path, ": ", why));
}

// faiss's text without function and source line.
std::string TextOf(const std::exception& error) {
  const std::string text = error.what();
  const size_t colon = text.rfind(": ");
  return text.substr(colon == std::string::npos ? 0 : colon + 2, 200);
}

// The inverted lists below refining and transforming, nullptr without any.
const faiss::IndexIVF* ListsOf(const faiss::Index* index) {
  if (const auto* refine = dynamic_cast<const faiss::IndexRefine*>(index)) {
    return ListsOf(refine->base_index);
  }
  if (const auto* chain =
          dynamic_cast<const faiss::IndexPreTransform*>(index)) {
    return ListsOf(chain->index);
  }
  return dynamic_cast<const faiss::IndexIVF*>(index);
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
  std::error_code no_file;
  if (!std::filesystem::is_regular_file(path, no_file)) {
    return MakeError(absl::StatusCode::kNotFound, "FILE_NOT_FOUND",
                     absl::StrCat(path, ": no such file"));
  }
  std::unique_ptr<faiss::Index> index;
  try {
    index.reset(faiss::read_index(path.c_str()));
  } catch (const std::exception& error) {
    return Refused(path, "NOT_A_FAISS_INDEX",
                   absl::StrCat("faiss cannot read it: ", TextOf(error)));
  }
  if (index->ntotal == 0) {
    return Refused(path, "NO_FRAMES_IN_INDEX",
                   "holds no frames: it was trained, but nothing was added "
                   "(RVC's trained_*.index). The added_*.index beside it has "
                   "them, or build from the features themselves");
  }
  if (dynamic_cast<const faiss::IndexIDMap*>(index.get()) != nullptr) {
    return Refused(path, "OWN_IDS",
                   "has ids of its own (IDMap), where Timbre's are row "
                   "numbers");
  }
  const faiss::IndexIVF* const lists = ListsOf(index.get());
  if (lists != nullptr && !HasPlainIds(*lists)) {
    return Refused(path, "OWN_IDS",
                   "its ids are not 0, 1, 2 ... each once, so rows have no "
                   "order to take over");
  }
  return IndexFile(path, std::move(index));
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

bool IndexFile::lossy() const {
  const faiss::Index* index = index_.get();
  if (const auto* refine = dynamic_cast<const faiss::IndexRefine*>(index)) {
    index = refine->refine_index;
  }
  if (const auto* chain =
          dynamic_cast<const faiss::IndexPreTransform*>(index)) {
    index = chain->index;
  }
  return dynamic_cast<const faiss::IndexFlat*>(index) == nullptr &&
         dynamic_cast<const faiss::IndexIVFFlat*>(index) == nullptr &&
         dynamic_cast<const faiss::IndexHNSWFlat*>(index) == nullptr;
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
