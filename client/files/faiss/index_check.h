// What faiss's own reader does not look at.
//
// faiss allocates what a file's numbers say before it has seen whether the file
// holds as much, and searches without a look at what refers to what: one
// changed byte is an abort, minutes or a read beyond an array. This walks the
// same structure (faiss/impl/index_read.cpp, unchanged from 1.7 to 1.11 for
// these kinds) and allows nothing whose parts do not fit each other and the
// file.
#ifndef TIMBRE_CLIENT_FILES_FAISS_INDEX_CHECK_H_
#define TIMBRE_CLIENT_FILES_FAISS_INDEX_CHECK_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace timbre::client {

// INVALID_ARGUMENT unless `file` is an index of these kinds: Flat; PQ, PQ..x4fs
// and SQ; HNSW over Flat; IVF (over Flat or HNSW) with Flat, SQ, PQ or
// PQ..x4fs; chains of transforms (rotations, PCA, L2 normalisation, centering,
// choice of dimensions) before any, and Refine over any two of them. Takes time
// and memory for what is in the file, whatever it says. Pure, thread-safe.
absl::Status CheckIndex(absl::string_view file);

}  // namespace timbre::client

#endif  // TIMBRE_CLIENT_FILES_FAISS_INDEX_CHECK_H_
