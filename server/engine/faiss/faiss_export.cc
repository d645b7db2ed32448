#include "server/engine/faiss/faiss_export.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/checksum.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/engine/faiss/faiss_format.h"
#include "server/engine/frames/exact_scorer.h"
#include "server/engine/frames/npy_header.h"

namespace timbre {
namespace {

using faiss_format::Shape;

Shape ShapeOf(const FrameStore& store, Metric metric) {
  return {store.rows(), store.dimension(), metric};
}

// How rows are written.
struct RowFormat {
  bool normalize = false;
  ElementType type = ElementType::kFloat32;
};

// Rows `row_at(0) ... row_at(count - 1)`, converted.
class RowProducer {
 public:
  RowProducer(const FrameStore& store, RowFormat format,
              const KernelTable& kernels, uint64_t count,
              std::function<uint64_t(uint64_t)> row_at)
      : store_(store),
        format_(format),
        kernels_(kernels),
        count_(count),
        row_at_(std::move(row_at)),
        buffer_(size_t{2} * store.dimension()) {}

  absl::Status operator()(std::string* piece) {
    const size_t bytes = store_.dimension() * BytesPerElement(format_.type);
    const uint64_t rows =
        std::min<uint64_t>(count_ - next_, ByteSource::kMaxPieceBytes / bytes);
    piece->resize(rows * bytes);
    for (uint64_t i = 0; i < rows; ++i) {
      Write(row_at_(next_++), piece->data() + i * bytes);
    }
    return store_.Check();
  }

 private:
  void Write(uint64_t id, char* out) {
    const size_t n = store_.dimension();
    const float* row = store_.Row(id, buffer_.data());
    if (format_.normalize) {
      Normalize(row, n, kernels_, buffer_.data() + n);
      row = buffer_.data() + n;
    }
    if (format_.type == ElementType::kFloat16) {
      kernels_.float_to_half(row, n, reinterpret_cast<uint16_t*>(out));
    } else {
      std::memcpy(out, row, n * sizeof(float));
    }
  }

  const FrameStore& store_;
  const RowFormat format_;
  const KernelTable& kernels_;
  const uint64_t count_;
  const std::function<uint64_t(uint64_t)> row_at_;
  std::vector<float> buffer_;
  uint64_t next_ = 0;
};

void AddAllRows(const FrameStore& store, RowFormat format,
                const KernelTable& kernels, ByteSource& source) {
  source.AddProducer(RowProducer(store, format, kernels, store.rows(),
                                 [](uint64_t i) { return i; }));
}

void AddFlat(const FrameStore& store, Metric metric, const KernelTable& kernels,
             ByteSource& source) {
  source.AddBytes(faiss_format::FlatHeader(ShapeOf(store, metric)));
  AddAllRows(store, {.normalize = metric == Metric::kCosine}, kernels, source);
}

// A stored IVF index as it is, its nprobe replaced. It was read
// when the version was opened; what became of it since, its digest tells.
class FileProducer {
 public:
  FileProducer(const StoredIndex& stored, uint64_t nprobe)
      : stored_(stored),
        nprobe_(nprobe),
        file_(InputFile::Open(stored.path, *stored.files)) {}

  absl::Status operator()(std::string* piece) {
    if (absl::IsNotFound(file_.status())) {
      return Damaged(file_.status().message());
    }
    TIMBRE_RETURN_IF_ERROR(file_.status());
    piece->resize(ByteSource::kMaxPieceBytes);
    TIMBRE_ASSIGN_OR_RETURN(const size_t bytes,
                            file_->Read(piece->data(), piece->size()));
    piece->resize(bytes);
    checksum_.Update(piece->data(), piece->size());
    if (piece->empty() && !stored_.digest.empty() &&
        checksum_.Digest() != stored_.digest) {
      return Damaged("the digest does not match the manifest");
    }
    const size_t offset = faiss_format::kIvfNprobeOffset;
    if (first_ && piece->size() >= offset + sizeof(nprobe_)) {
      std::memcpy(piece->data() + offset, &nprobe_, sizeof(nprobe_));
    }
    first_ = false;
    return absl::OkStatus();
  }

 private:
  absl::Status Damaged(absl::string_view what) const {
    return MakeError(absl::StatusCode::kDataLoss, "FILE_CORRUPT",
                     absl::StrCat(stored_.path, ": ", what));
  }

  const StoredIndex stored_;
  const uint64_t nprobe_;
  absl::StatusOr<InputFile> file_;
  Checksum checksum_;
  bool first_ = true;
};

void AddFile(const StoredIndex& stored, uint64_t nprobe, ByteSource& source) {
  auto file = std::make_shared<FileProducer>(stored, nprobe);
  source.AddProducer([file](std::string* piece) { return (*file)(piece); });
}

// The lists of an IndexIVFFlat one after the other: rows, then ids.
class ListProducer {
 public:
  ListProducer(const FrameStore& store, RowFormat format,
               std::span<const uint32_t> begins,
               std::function<uint64_t(uint64_t)> row_at,
               const KernelTable& kernels)
      : store_(store),
        format_(format),
        begins_(begins.begin(), begins.end()),
        row_at_(std::move(row_at)),
        kernels_(kernels) {}

  absl::Status operator()(std::string* piece) {
    while (list_ + 1 < begins_.size()) {
      if (rows_ == nullptr) StartList();
      if (!rows_done_) {
        TIMBRE_RETURN_IF_ERROR((*rows_)(piece));
        if (!piece->empty()) return absl::OkStatus();
        rows_done_ = true;
      }
      if (WriteIds(piece)) return absl::OkStatus();
      ++list_;
      rows_ = nullptr;
    }
    return absl::OkStatus();
  }

 private:
  void StartList() {
    next_id_ = begins_[list_];
    rows_done_ = false;
    rows_ = std::make_shared<RowProducer>(
        store_, format_, kernels_, begins_[list_ + 1] - begins_[list_],
        [this, begin = begins_[list_]](uint64_t i) {
          return row_at_(begin + i);
        });
  }

  bool WriteIds(std::string* piece) {
    const uint64_t count =
        std::min<uint64_t>(begins_[list_ + 1] - next_id_,
                           ByteSource::kMaxPieceBytes / sizeof(int64_t));
    piece->resize(count * sizeof(int64_t));
    for (uint64_t i = 0; i < count; ++i) {
      const auto id = static_cast<int64_t>(row_at_(next_id_++));
      std::memcpy(piece->data() + i * sizeof(id), &id, sizeof(id));
    }
    return count > 0;
  }

  const FrameStore& store_;
  const RowFormat format_;
  const std::vector<uint32_t> begins_;
  const std::function<uint64_t(uint64_t)> row_at_;
  const KernelTable& kernels_;
  std::shared_ptr<RowProducer> rows_;
  size_t list_ = 0;
  uint64_t next_id_ = 0;
  bool rows_done_ = false;
};

// Cuts `bytes` into pieces.
void AddLargeBytes(std::string bytes, ByteSource& source) {
  size_t offset = 0;
  source.AddProducer(
      [bytes = std::move(bytes), offset](std::string* piece) mutable {
        *piece = bytes.substr(offset, ByteSource::kMaxPieceBytes);
        offset += piece->size();
        return absl::OkStatus();
      });
}

}  // namespace

ByteSource FlatFile(const FrameStore& store, Metric metric,
                    const KernelTable& kernels) {
  ByteSource source;
  AddFlat(store, metric, kernels, source);
  return source;
}

ByteSource IvfFlatFile(const FrameStore& store, Metric metric,
                       const IvfParts* parts, uint32_t nprobe,
                       const KernelTable& kernels) {
  // Without lists there is one, of all rows; its centroid decides nothing.
  const std::vector<float> origin(store.dimension(), 0.0F);
  const std::array<uint32_t, 2> all = {0, static_cast<uint32_t>(store.rows())};
  const uint32_t nlist = parts != nullptr ? parts->nlist : 1;
  const std::span<const uint32_t> begins =
      parts != nullptr ? std::span<const uint32_t>(parts->list_begin) : all;
  std::vector<uint64_t> sizes(nlist);
  for (uint32_t i = 0; i < nlist; ++i) sizes[i] = begins[i + 1] - begins[i];
  ByteSource source;
  AddLargeBytes(faiss_format::IvfFlatHeader(
                    ShapeOf(store, metric), nlist, nprobe,
                    parts != nullptr ? parts->centroids.data() : origin.data(),
                    sizes.data()),
                source);
  auto lists = std::make_shared<ListProducer>(
      store, RowFormat{.normalize = metric == Metric::kCosine}, begins,
      [parts](uint64_t i) { return parts != nullptr ? parts->ids[i] : i; },
      kernels);
  source.AddProducer([lists](std::string* piece) { return (*lists)(piece); });
  return source;
}

ByteSource ExportAsBuilt(const ExportInput& input, const StoredIndex& stored,
                         const ExportDefaults& defaults) {
  const FrameStore& store = input.store;
  const Shape shape = ShapeOf(store, input.metric);
  const bool cosine = input.metric == Metric::kCosine;
  ByteSource source;
  if (cosine) source.AddBytes(faiss_format::NormalizingHeader(shape));
  if (input.spec.kind == IndexKind::kFlat) {
    AddFlat(store, input.metric, input.kernels, source);
    return source;
  }
  if (input.spec.kind == IndexKind::kIvfFlat) {
    AddFile(stored, defaults.nprobe, source);
    return source;
  }
  const bool half = input.spec.refine == RefineKind::kHalf;
  source.AddBytes(faiss_format::RefineHeader(shape));
  AddFile(stored, defaults.nprobe, source);
  source.AddBytes(half ? faiss_format::HalfHeader(shape)
                       : faiss_format::FlatHeader(shape));
  AddAllRows(store,
             {.normalize = cosine,
              .type = half ? ElementType::kFloat16 : ElementType::kFloat32},
             input.kernels, source);
  source.AddBytes(faiss_format::RefineTrailer(defaults.k_factor));
  return source;
}

ByteSource ExportIvfFlat(const ExportInput& input,
                         const ExportDefaults& defaults) {
  ByteSource source;
  if (input.metric == Metric::kCosine) {
    source.AddBytes(
        faiss_format::NormalizingHeader(ShapeOf(input.store, input.metric)));
  }
  auto file = std::make_shared<ByteSource>(
      IvfFlatFile(input.store, input.metric, input.parts,
                  input.parts != nullptr ? defaults.nprobe : 1, input.kernels));
  source.AddProducer([file](std::string* piece) { return file->Next(piece); });
  return source;
}

ByteSource ExportNpy(const FrameStore& store) {
  ByteSource source;
  source.AddBytes(
      NpyHeader(store.element_type(), store.rows(), store.dimension()));
  uint64_t next = 0;
  source.AddProducer([&store, next](std::string* piece) mutable {
    const uint64_t rows = std::min<uint64_t>(
        store.rows() - next, ByteSource::kMaxPieceBytes / store.row_bytes());
    piece->assign(store.RawRow(next), rows * store.row_bytes());
    next += rows;
    return store.Check();
  });
  return source;
}

}  // namespace timbre
