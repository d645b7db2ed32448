// How much of its frames an index has lost. Not for use outside of this folder.
#ifndef TIMBRE_CLIENT_FILES_FAISS_LOSS_H_
#define TIMBRE_CLIENT_FILES_FAISS_LOSS_H_

#include <vector>

#include "client/files/faiss/index_file.h"

namespace faiss {
struct VectorTransform;
}

namespace timbre::client {

// Where the rows that an index gives back come from: what is kept in `holder`,
// after it went through `transforms`, the first one first.
struct RowSource {
  std::vector<const faiss::VectorTransform*> transforms;
  const faiss::Index* holder = nullptr;
};
RowSource RowsOf(const faiss::Index& index);

// See IndexFile::TransformLoss: there and back with random frames, which lie in
// all dimensions.
IndexFile::Loss MeasureTransforms(
    const std::vector<const faiss::VectorTransform*>& transforms);
// See IndexFile::CodeLoss: coded and decoded are frames between those that the
// index holds, since these themselves would be found again.
IndexFile::Loss MeasureCodes(const faiss::Index& holder);

}  // namespace timbre::client

#endif  // TIMBRE_CLIENT_FILES_FAISS_LOSS_H_
