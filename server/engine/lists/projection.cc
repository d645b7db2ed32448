#include "server/engine/lists/projection.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "server/engine/lists/principal_directions.h"

namespace timbre {
namespace {

// Of the squared lengths of centroids. Frames lose more, but what both have
// lost counts only as the product of both.
constexpr double kMaxLost = 0.005;

// With fewer lists or dimensions the rest of a search takes longer.
constexpr size_t kMinVectors = 256;
constexpr size_t kMinDimension = 128;

// Of a squared length, for the rounding of floats.
constexpr float kRounding = 1e-6F;

// What of a vector lies outside of the directions; rather too much.
float ResidualOf(double squared_norm, double held, double slack) {
  return static_cast<float>(
      std::sqrt(std::max(0.0, squared_norm - held) + slack));
}

// [count, directions + 1]: products with the directions, and the residual.
std::vector<float> Coordinates(const std::vector<float>& vectors, size_t n,
                               const std::vector<float>& directions,
                               const KernelTable& kernels) {
  std::vector<float> coordinates;
  coordinates.reserve(vectors.size() / n * (directions.size() / n + 1));
  for (size_t i = 0; i < vectors.size(); i += n) {
    double held = 0;
    for (size_t j = 0; j < directions.size(); j += n) {
      const float x = kernels.dot(&vectors[i], &directions[j], n);
      coordinates.push_back(x);
      held += double{x} * x;
    }
    const double norm = kernels.dot(&vectors[i], &vectors[i], n);
    coordinates.push_back(ResidualOf(norm, held, kRounding * norm));
  }
  return coordinates;
}

// The share of the squared lengths that is in the last coordinates.
double ShareLost(const std::vector<float>& coordinates, size_t size) {
  double all = 0;
  double lost = 0;
  for (size_t i = 0; i < coordinates.size(); ++i) {
    const double square = double{coordinates[i]} * coordinates[i];
    all += square;
    if (i % size == size - 1) lost += square;
  }
  return all > 0 ? lost / all : 0;
}

// Brings the last coordinates of all vectors to the size of the others: one
// step of quantization has to suit all. Returns their unit.
float ScaleResiduals(size_t size, std::vector<float>& coordinates) {
  float largest = 0;
  float residual = 0;
  for (size_t i = 0; i < coordinates.size(); ++i) {
    float& most = i % size == size - 1 ? residual : largest;
    most = std::max(most, std::fabs(coordinates[i]));
  }
  const float unit =
      largest > kTiny && residual > kTiny ? largest / residual : 1;
  for (size_t i = size - 1; i < coordinates.size(); i += size) {
    coordinates[i] *= unit;
  }
  return unit;
}

}  // namespace

size_t SubspaceProjection::MostCoordinates(size_t count, size_t dimension) {
  if (dimension < kMinDimension || count < kMinVectors) return 0;
  return MostDirections(dimension) + 1;
}

std::optional<Projected> SubspaceProjection::Find(
    const std::vector<float>& vectors, size_t dimension,
    const KernelTable& kernels, std::pmr::memory_resource* memory) {
  if (MostCoordinates(vectors.size() / dimension, dimension) == 0) {
    return std::nullopt;
  }
  const std::vector<float> directions =
      PrincipalDirections(vectors, dimension, kMaxLost, kernels);
  if (directions.empty()) return std::nullopt;
  std::vector<float> coordinates =
      Coordinates(vectors, dimension, directions, kernels);
  const size_t size = directions.size() / dimension + 1;
  // The directions are those of some of the vectors.
  if (ShareLost(coordinates, size) > 2 * kMaxLost) return std::nullopt;
  const float unit = ScaleResiduals(size, coordinates);
  return Projected{.projection = SubspaceProjection(directions, dimension, unit,
                                                    kernels, memory),
                   .vectors = std::move(coordinates)};
}

SubspaceProjection::SubspaceProjection(const std::vector<float>& directions,
                                       size_t dimension, float residual_unit,
                                       const KernelTable& kernels,
                                       std::pmr::memory_resource* memory)
    : size_(directions.size() / dimension + 1),
      dimension_(dimension),
      directions_(size_ - 1, dimension, memory),
      residual_unit_(residual_unit),
      kernels_(&kernels) {
  const std::vector<float> zeros(dimension);
  for (size_t i = 0; i + 1 < size_; ++i) {
    directions_.Set(i, &directions[i * dimension], zeros.data(), 0, kernels);
  }
}

// Each number of the frame and of the direction is off by up to half a step,
// with a variance of step^2 / 12; directions are of length one.
double SubspaceProjection::ErrorOf(const QuantizedFrame& frame) const {
  const double step = directions_.largest_step();
  return timbre::ErrorOf(frame, dimension_) + step * step * frame.squared_norm;
}

void SubspaceProjection::Project(const QuantizedFrame* frames,
                                 const int8_t* values, size_t count,
                                 float* coordinates) const {
  std::array<Projection, kFramesPerTile> projections;
  for (size_t i = 0; i < count; ++i) {
    projections[i] = {.frame = values + i * directions_.padded_dimension(),
                      .sum = frames[i].sum,
                      .step = frames[i].step,
                      .coordinates = coordinates + i * size_};
  }
  kernels_->project(directions_.view(), projections.data(), count);
  for (size_t i = 0; i < count; ++i) {
    float* const mine = coordinates + i * size_;
    const double norm = frames[i].squared_norm;
    const double held = kernels_->dot(mine, mine, size_ - 1);
    const double variance = ErrorOf(frames[i]) / 12;
    // What `held` may be too large by.
    const double slack = 2 * kDeviations * std::sqrt(variance * held) +
                         static_cast<double>(size_) * variance +
                         kRounding * norm;
    mine[size_ - 1] = ResidualOf(norm, held, slack) / residual_unit_;
  }
}

}  // namespace timbre
