// Reading the faiss file of a version into IvfParts.
#ifndef TIMBRE_SERVER_ENGINE_FAISS_FAISS_LOAD_H_
#define TIMBRE_SERVER_ENGINE_FAISS_FAISS_LOAD_H_

#include <memory>
#include <memory_resource>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/engine/lists/index_description.h"
#include "server/engine/lists/ivf_parts.h"
#include "server/kernels/kernels.h"

namespace timbre {

// DATA_LOSS: "<path of the index>: <what>".
absl::Status IndexDamaged(const IndexDescription& description,
                          absl::string_view what);

// Of the index file; DATA_LOSS if there is none.
absl::StatusOr<uint64_t> IndexSize(const IndexDescription& description);

// Takes `data`, the bytes of an index file, apart; checks every number that a
// search relies on before it sizes anything. DATA_LOSS if anything is not as
// described. The codes are not arranged yet. Here and below the arrays lie in
// `memory`, which is to outlive them; null: the heap. Pure.
absl::StatusOr<std::unique_ptr<IvfParts>> ParseCodedParts(
    const IndexDescription& description, absl::string_view data,
    std::pmr::memory_resource* memory = nullptr);

// Verifies the digest before anything of the file is used, then every number
// that a search relies on; arranges the codes for `kernels`. DATA_LOSS if
// anything is not as described; errors of file_error.h where the file cannot be
// read for now. Thread-safe.
absl::StatusOr<std::unique_ptr<const IvfParts>> LoadCodedParts(
    const IndexDescription& description, const KernelTable& kernels,
    std::pmr::memory_resource* memory = nullptr);

// The same for IVF<n>,Flat, without faiss: its lists hold the frames once more,
// and only their ids are wanted in memory.
absl::StatusOr<std::unique_ptr<const IvfParts>> LoadIvfFlatParts(
    const IndexDescription& description,
    std::pmr::memory_resource* memory = nullptr);

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_FAISS_FAISS_LOAD_H_
