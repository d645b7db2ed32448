#include "server/engine/lists/ivf_parts.h"

#include <cmath>

namespace timbre {
namespace {

// Means of frames, whose magnitudes are at most 1e15, and their rounding:
// squared distances cannot overflow.
constexpr float kMaxMagnitude = 2e15F;

// NaN fails every comparison.
bool AreMeans(std::span<const float> numbers) {
  bool good = true;
  for (const float x : numbers) good = good && std::fabs(x) <= kMaxMagnitude;
  return good;
}

}  // namespace

bool IvfParts::IsSound(uint64_t rows) const {
  if (ids.size() != rows || !AreMeans(centroids) || !AreMeans(codebooks)) {
    return false;
  }
  std::vector<bool> seen(rows);
  for (const uint32_t id : ids) {
    if (id >= rows || seen[id]) return false;
    seen[id] = true;
  }
  return true;
}

size_t IvfParts::MostResidentBytes(const IndexSpec& spec, uint64_t rows,
                                   uint32_t dimension) {
  if (spec.kind == IndexKind::kFlat) return 0;
  const size_t nlist = spec.nlist;
  const size_t lists =
      nlist * dimension * sizeof(float) + (nlist + 1 + rows) * sizeof(uint32_t);
  if (spec.pq_m == 0) return lists;
  const size_t blocks = (rows + kCodesPerBlock - 1) / kCodesPerBlock;
  return lists + size_t{kEntries} * dimension * sizeof(float) +
         blocks * OctetsOf(spec.pq_m) * kOctetBytes +
         (nlist + 1 + rows) * sizeof(uint32_t);
}

}  // namespace timbre
