// faiss files of a version, composed from what is stored.
#ifndef TIMBRE_SERVER_ENGINE_FAISS_FAISS_EXPORT_H_
#define TIMBRE_SERVER_ENGINE_FAISS_FAISS_EXPORT_H_

#include <string>
#include <utility>

#include "server/engine/faiss/byte_source.h"
#include "server/engine/frames/frame_store.h"
#include "server/engine/frames/metric.h"
#include "server/engine/lists/index_spec.h"
#include "server/engine/lists/ivf_parts.h"
#include "server/kernels/kernels.h"

namespace timbre {

// What an exported index searches with unless told otherwise.
struct ExportDefaults {
  uint32_t nprobe = 1;
  float k_factor = 1;
};

// What files are composed of; the sources refer to it, so it must outlive them.
struct ExportInput {
  const FrameStore& store;
  const IndexSpec& spec;
  Metric metric = Metric::kL2;
  const IvfParts* parts = nullptr;  // null for IndexKind::kFlat
  const KernelTable& kernels;
};

// An IndexFlat over the frames (kCosine: normalised).
ByteSource FlatFile(const FrameStore& store, Metric metric,
                    const KernelTable& kernels);

// An IndexIVFFlat over the frames (kCosine: normalised) in the lists of
// `parts`; null: one list.
ByteSource IvfFlatFile(const FrameStore& store, Metric metric,
                       const IvfParts* parts, uint32_t nprobe,
                       const KernelTable& kernels);

// added.index of a version, and the digest that its manifest has of it; empty:
// it is not compared.
struct StoredIndex {
  // Not explicit: a path alone is one whose digest nobody knows.
  StoredIndex(std::string p, std::string d = "",
              FileSystem& f = FileSystem::Posix())
      : path(std::move(p)), digest(std::move(d)), files(&f) {}
  std::string path;
  std::string digest;
  FileSystem* files;
};

// The complete index as built: the stored one (for IndexKind::kFlat composed
// from the frames), with the refine index where there is one and, for kCosine,
// a normalisation before it. The source ends with DATA_LOSS if the file is gone
// or not what it was, with other errors of file_error.h if it cannot be read
// for now.
ByteSource ExportAsBuilt(const ExportInput& input, const StoredIndex& stored,
                         const ExportDefaults& defaults);

// IVF<nlist>,Flat over the same centroids: what RVC, Applio and w-okada load.
ByteSource ExportIvfFlat(const ExportInput& input,
                         const ExportDefaults& defaults);

// total_fea.npy.
ByteSource ExportNpy(const FrameStore& store);

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_FAISS_FAISS_EXPORT_H_
