#include "server/engine/lists/principal_directions.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "server/base/thread_priority.h"

namespace timbre {
namespace {

constexpr size_t kMaxSamples = 256;
constexpr size_t kDirectionsAtOnce = 32;
constexpr int kIterations = 1;

// If the first directions hold less than that, no few directions will do.
constexpr double kMinHeldAtFirst = 0.5;

// A row whose length falls to that when others are taken out was theirs.
constexpr float kDependent = 1e-5F;

class RandomSigns {
 public:
  std::vector<float> Take(size_t n) {
    std::vector<float> signs(n);
    for (float& sign : signs) sign = (random_() & 1U) != 0 ? 1.0F : -1.0F;
    return signs;
  }

 private:
  std::mt19937 random_{1};
};

// Some of the vectors, at a common scale, by rows and by columns.
struct Samples {
  size_t count = 0;
  size_t dimension = 0;
  std::vector<float> rows;
  std::vector<float> columns;
  double energy = 0;

  const float* row(size_t i) const { return &rows[i * dimension]; }
  const float* column(size_t j) const { return &columns[j * count]; }
};

Samples Take(const std::vector<float>& vectors, size_t dimension) {
  const size_t all = vectors.size() / dimension;
  Samples samples;
  samples.count = std::min(all, kMaxSamples);
  samples.dimension = dimension;
  float largest = 0;
  for (const float x : vectors) largest = std::max(largest, std::fabs(x));
  const float scale = largest > kTiny ? 1 / largest : 0;
  samples.columns.resize(dimension * samples.count);
  for (size_t i = 0; i < samples.count; ++i) {
    const float* const from = &vectors[i * all / samples.count * dimension];
    for (size_t j = 0; j < dimension; ++j) {
      const float x = from[j] * scale;
      samples.rows.push_back(x);
      samples.columns[j * samples.count + i] = x;
      samples.energy += double{x} * x;
    }
  }
  return samples;
}

// Makes rows `first` and later ([rows, n]) unit vectors at right angles to each
// other and to those before; zeros where they depend on them.
void Orthonormalize(std::vector<float>& rows, size_t first, size_t n,
                    const KernelTable& kernels) {
  for (size_t i = first; i < rows.size() / n; ++i) {
    GiveWay();
    float* const row = &rows[i * n];
    // The second time takes out what rounding left.
    for (int time = 0; time < 2; ++time) {
      const float before = std::sqrt(kernels.dot(row, row, n));
      for (size_t j = 0; j < i; ++j) {
        const float* const other = &rows[j * n];
        const float common = kernels.dot(row, other, n);
        for (size_t s = 0; s < n; ++s) row[s] -= common * other[s];
      }
      const float norm = std::sqrt(kernels.dot(row, row, n));
      const float scale = norm > kDependent * before ? 1 / norm : 0;
      for (size_t s = 0; s < n; ++s) row[s] *= scale;
    }
  }
}

// The sum of the samples, each times its weight.
void Combine(const Samples& samples, const std::vector<float>& weights,
             const KernelTable& kernels, float* out) {
  for (size_t j = 0; j < samples.dimension; ++j) {
    out[j] = kernels.dot(weights.data(), samples.column(j), samples.count);
  }
}

std::vector<float> ProductsWith(const Samples& samples, const float* direction,
                                const KernelTable& kernels) {
  std::vector<float> products(samples.count);
  for (size_t i = 0; i < samples.count; ++i) {
    products[i] = kernels.dot(direction, samples.row(i), samples.dimension);
  }
  return products;
}

// Adds directions up to `count`; returns the squared lengths that these hold.
double Extend(const Samples& samples, size_t count, RandomSigns& random,
              const KernelTable& kernels, std::vector<float>& directions) {
  const size_t n = samples.dimension;
  const size_t first = directions.size() / n;
  directions.resize(count * n);
  for (size_t i = first; i < count; ++i) {
    Combine(samples, random.Take(samples.count), kernels, &directions[i * n]);
  }
  Orthonormalize(directions, first, n, kernels);
  for (int iteration = 0; iteration < kIterations; ++iteration) {
    for (size_t i = first; i < count; ++i) {
      GiveWay();
      float* const direction = &directions[i * n];
      Combine(samples, ProductsWith(samples, direction, kernels), kernels,
              direction);
    }
    Orthonormalize(directions, first, n, kernels);
  }
  double held = 0;
  for (size_t i = first; i < count; ++i) {
    for (const float x : ProductsWith(samples, &directions[i * n], kernels)) {
      held += double{x} * x;
    }
  }
  return held;
}

// Other orthonormal directions of the same subspace.
std::vector<float> Turn(const std::vector<float>& directions, size_t n,
                        RandomSigns& random, const KernelTable& kernels) {
  const size_t count = directions.size() / n;
  std::vector<float> turned(directions.size());
  for (size_t i = 0; i < count; ++i) {
    const std::vector<float> signs = random.Take(count);
    for (size_t j = 0; j < count; ++j) {
      for (size_t s = 0; s < n; ++s) {
        turned[i * n + s] += signs[j] * directions[j * n + s];
      }
    }
  }
  Orthonormalize(turned, 0, n, kernels);
  return turned;
}

}  // namespace

std::vector<float> PrincipalDirections(const std::vector<float>& vectors,
                                       size_t dimension, double most_lost,
                                       const KernelTable& kernels) {
  const Samples samples = Take(vectors, dimension);
  RandomSigns random;
  std::vector<float> directions;
  double lost = samples.energy;
  for (size_t count = kDirectionsAtOnce - 1; count < dimension / 2;
       count += kDirectionsAtOnce) {
    lost -= Extend(samples, count, random, kernels, directions);
    if (lost <= most_lost * samples.energy) {
      return Turn(directions, dimension, random, kernels);
    }
    if (lost > (1 - kMinHeldAtFirst) * samples.energy) break;
  }
  return {};
}

size_t MostDirections(size_t dimension) {
  size_t most = 0;
  for (size_t count = kDirectionsAtOnce - 1; count < dimension / 2;
       count += kDirectionsAtOnce) {
    most = count;
  }
  return most;
}

}  // namespace timbre
