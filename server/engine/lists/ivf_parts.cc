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

}  // namespace timbre
