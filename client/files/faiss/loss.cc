#include "client/files/faiss/loss.h"

#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/IndexIVFPQFastScan.h>
#include <faiss/IndexPQFastScan.h>
#include <faiss/IndexPreTransform.h>
#include <faiss/IndexRefine.h>
#include <faiss/VectorTransform.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace timbre::client {
namespace {

constexpr int64_t kProbes = 64;
// What float arithmetic loses on its way there and back.
constexpr double kRounding = 1e-4;

using Rows = std::vector<float>;  // [kProbes, dimension]

double Length(const float* row, size_t dimension) {
  double sum = 0;
  for (size_t i = 0; i < dimension; ++i) sum += double{row[i]} * row[i];
  return std::sqrt(sum);
}

// Mean length of the difference over mean length.
double Share(const Rows& before, const Rows& after, size_t dimension) {
  double lengths = 0;
  double differences = 0;
  Rows difference(dimension);
  for (size_t first = 0; first < before.size(); first += dimension) {
    for (size_t i = 0; i < dimension; ++i) {
      difference[i] = after[first + i] - before[first + i];
    }
    lengths += Length(&before[first], dimension);
    differences += Length(difference.data(), dimension);
  }
  return lengths > 0 ? differences / lengths : 0;
}

std::string NameOf(const faiss::VectorTransform& transform) {
  const std::string size =
      absl::StrCat(transform.d_in, " to ", transform.d_out, " dimensions");
  if (dynamic_cast<const faiss::NormalizationTransform*>(&transform)) {
    return "L2 normalisation";
  }
  if (dynamic_cast<const faiss::PCAMatrix*>(&transform)) {
    return absl::StrCat("PCA from ", size);
  }
  if (dynamic_cast<const faiss::RemapDimensionsTransform*>(&transform)) {
    return absl::StrCat("a choice of dimensions from ", size);
  }
  return absl::StrCat("a transform from ", size);
}

// Between pairs of rows that the index holds.
Rows Between(const faiss::Index& holder) {
  const auto dimension = static_cast<size_t>(holder.d);
  std::mt19937 random(1);
  Rows probes(kProbes * dimension);
  Rows other(dimension);
  for (int64_t i = 0; i < kProbes; ++i) {
    float* const probe = &probes[static_cast<size_t>(i) * dimension];
    const auto any = [&] {
      return static_cast<int64_t>(random() %
                                  static_cast<uint64_t>(holder.ntotal));
    };
    holder.reconstruct_n(any(), 1, probe);
    holder.reconstruct_n(any(), 1, other.data());
    for (size_t j = 0; j < dimension; ++j) {
      probe[j] = (probe[j] + other[j]) / 2;
    }
  }
  return probes;
}

// Whether faiss can code them: it takes the number of a frame's list for one
// even where NaN has left it without any.
bool AreCodable(const faiss::Index& holder, const Rows& rows) {
  for (const float x : rows) {
    if (!std::isfinite(x)) return false;
  }
  const auto* lists = dynamic_cast<const faiss::IndexIVF*>(&holder);
  if (lists == nullptr) return true;
  std::vector<int64_t> nearest(kProbes);
  lists->quantizer->assign(kProbes, rows.data(), nearest.data());
  return std::find_if(nearest.begin(), nearest.end(),
                      [](int64_t list) { return list < 0; }) == nearest.end();
}

void AddCentroids(const faiss::IndexIVF& index,
                  const std::vector<int64_t>& lists, Rows& rows) {
  const auto dimension = static_cast<size_t>(index.d);
  Rows centroid(dimension);
  for (size_t i = 0; i < lists.size(); ++i) {
    index.quantizer->reconstruct(lists[i], centroid.data());
    for (size_t j = 0; j < dimension; ++j) {
      rows[i * dimension + j] += centroid[j];
    }
  }
}

Rows ThroughCodes(const faiss::Index& holder, const Rows& rows) {
  Rows decoded(rows.size());
  if (const auto* lists =
          dynamic_cast<const faiss::IndexIVFPQFastScan*>(&holder)) {
    std::vector<int64_t> nearest(kProbes);
    lists->quantizer->assign(kProbes, rows.data(), nearest.data());
    std::vector<uint8_t> codes(kProbes * lists->code_size);
    lists->encode_vectors(kProbes, rows.data(), nearest.data(), codes.data());
    lists->pq.decode(codes.data(), decoded.data(), kProbes);
    if (lists->by_residual) AddCentroids(*lists, nearest, decoded);
    return decoded;
  }
  if (const auto* scan = dynamic_cast<const faiss::IndexPQFastScan*>(&holder)) {
    std::vector<uint8_t> codes(kProbes * scan->pq.code_size);
    scan->pq.compute_codes(rows.data(), codes.data(), kProbes);
    scan->pq.decode(codes.data(), decoded.data(), kProbes);
    return decoded;
  }
  std::vector<uint8_t> codes(kProbes * holder.sa_code_size());
  holder.sa_encode(kProbes, rows.data(), codes.data());
  holder.sa_decode(kProbes, codes.data(), decoded.data());
  return decoded;
}

}  // namespace

RowSource RowsOf(const faiss::Index& index) {
  RowSource source{.holder = &index};
  while (true) {
    if (const auto* refine =
            dynamic_cast<const faiss::IndexRefine*>(source.holder)) {
      source.holder = refine->refine_index;
    } else if (const auto* chain =
                   dynamic_cast<const faiss::IndexPreTransform*>(
                       source.holder)) {
      source.transforms.insert(source.transforms.end(), chain->chain.begin(),
                               chain->chain.end());
      source.holder = chain->index;
    } else {
      return source;
    }
  }
}

IndexFile::Loss MeasureTransforms(
    const std::vector<const faiss::VectorTransform*>& transforms) {
  if (transforms.empty()) return {};
  IndexFile::Loss loss{
      .by = absl::StrJoin(transforms, ", ",
                          [](std::string* out, const auto* transform) {
                            absl::StrAppend(out, NameOf(*transform));
                          })};
  const auto dimension = static_cast<size_t>(transforms.front()->d_in);
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  Rows probes(kProbes * dimension);
  for (float& x : probes) x = normal(random);
  try {
    Rows there = probes;
    for (const auto* transform : transforms) {
      Rows next(kProbes * static_cast<size_t>(transform->d_out));
      transform->apply_noalloc(kProbes, there.data(), next.data());
      there.swap(next);
    }
    for (size_t i = transforms.size(); i > 0; --i) {
      const auto* transform = transforms[i - 1];
      Rows next(kProbes * static_cast<size_t>(transform->d_in));
      transform->reverse_transform(kProbes, there.data(), next.data());
      there.swap(next);
    }
    const double share = Share(probes, there, dimension);
    loss.share = share < kRounding ? 0 : share;
  } catch (const std::exception&) {  // there is no way back
    loss.share = 1;
  }
  return loss;
}

IndexFile::Loss MeasureCodes(const faiss::Index& holder) {
  if (dynamic_cast<const faiss::IndexFlat*>(&holder) ||
      dynamic_cast<const faiss::IndexIVFFlat*>(&holder) ||
      dynamic_cast<const faiss::IndexHNSWFlat*>(&holder)) {
    return {};
  }
  IndexFile::Loss loss{.share = std::numeric_limits<double>::quiet_NaN(),
                       .by = "codes instead of frames"};
  try {
    const Rows probes = Between(holder);
    if (!AreCodable(holder, probes)) return loss;
    loss.share = Share(probes, ThroughCodes(holder, probes),
                       static_cast<size_t>(holder.d));
  } catch (const std::exception&) {  // this kind has no such way
  }
  return loss;
}

}  // namespace timbre::client
