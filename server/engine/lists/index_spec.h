// What kind of index a version has: a faiss factory string, understood.
// Pure functions, thread-safe.
#ifndef TIMBRE_SERVER_ENGINE_LISTS_INDEX_SPEC_H_
#define TIMBRE_SERVER_ENGINE_LISTS_INDEX_SPEC_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace timbre {

inline constexpr uint32_t kMinDimension = 2;
inline constexpr uint32_t kMaxDimension = 4096;
inline constexpr uint32_t kMaxLists = 1U << 20;
// Ids have 31 bits in memory; the last one is IvfParts::kShared.
inline constexpr uint64_t kMaxRows = uint64_t{1} << 31;

enum class IndexKind : uint8_t {
  kFlat,     // "Flat": every frame, exactly
  kIvfFlat,  // "IVF<nlist>,Flat": the probed lists, exactly
  kIvfPq,    // "IVF<nlist>,PQ<m>x4fs,<refine>": 4-bit codes, then exactly
};

enum class RefineKind : uint8_t {
  kFlat,  // "RFlat": with the stored frames
  kHalf,  // "Refine(SQfp16)": with the stored frames rounded to float16
};

struct IndexSpec {
  IndexKind kind = IndexKind::kFlat;
  uint32_t nlist = 0;  // 1..2^20; 0 for kFlat
  uint32_t pq_m = 0;   // sub-quantizers, divides the dimension; kIvfPq alone
  RefineKind refine = RefineKind::kFlat;  // kIvfPq alone

  bool operator==(const IndexSpec&) const = default;
};

// The notation that ParseIndexSpec accepts, for error texts.
extern const char kIndexSpecNotation[];

// INVALID_ARGUMENT (field options.index_factory) for everything else.
absl::StatusOr<IndexSpec> ParseIndexSpec(absl::string_view factory);

// Whether frames of this dimension can be coded so.
absl::Status CheckDimension(const IndexSpec& spec, uint32_t dimension);

// The default for `rows` frames: exact below 2,048 rows, where a frame takes at
// most some 40 us (256 dimensions); above IVF<2 sqrt(rows)>, with PQ<dimension
// / 2>x4fs,RFlat where the dimension is even and at least 32, else with Flat.
// doc/tuning.md has the measurements that this follows.
IndexSpec ChooseIndexSpec(uint64_t rows, uint32_t dimension);

// In faiss's notation.
std::string ToString(const IndexSpec& spec);

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_LISTS_INDEX_SPEC_H_
