#include "server/engine/train/product_quantizer.h"

#include <algorithm>
#include <array>
#include <random>
#include <utility>

#include "server/base/status_macros.h"

namespace timbre {
namespace {

constexpr size_t kLanes = 16;  // rows that the kernel takes at once
constexpr int kIterations = 25;
constexpr size_t kSettled = 200;  // one point in so many still moves

// The pieces of all rows for one sub-quantizer, and k-means over them.
class PieceTrainer {
 public:
  // `points` ([width, count], count a multiple of kLanes).
  PieceTrainer(std::vector<float> points, size_t width,
               const KernelTable& kernels)
      : points_(std::move(points)),
        width_(width),
        count_(points_.size() / width),
        kernels_(kernels),
        digits_(count_) {}

  // entries: [width, 16].
  void Run(std::mt19937_64& random, float* entries) {
    for (size_t entry = 0; entry < kEntries; ++entry) {
      Place(random() % count_, entry, entries);
    }
    std::vector<uint8_t> before;
    for (int i = 0; i < kIterations; ++i) {
      kernels_.nearest_entries(points_.data(), count_, count_, width_, entries,
                               digits_.data());
      const bool settled = i > 0 && Changed(before) <= count_ / kSettled;
      before = digits_;
      const bool moved = Update(entries);
      if (settled && !moved) return;
    }
  }

 private:
  size_t Changed(const std::vector<uint8_t>& before) const {
    size_t changed = 0;
    for (size_t i = 0; i < count_; ++i) changed += digits_[i] != before[i];
    return changed;
  }

  void Place(size_t point, size_t entry, float* entries) const {
    for (size_t s = 0; s < width_; ++s) {
      entries[s * kEntries + entry] = points_[s * count_ + point];
    }
  }

  // Entries become the means of their points; those without any move to where
  // points are far from all others. Whether any did.
  bool Update(float* entries) {
    std::array<uint32_t, kEntries> sizes{};
    for (const uint8_t digit : digits_) ++sizes[digit];
    for (size_t s = 0; s < width_; ++s) {
      std::array<double, kEntries> sums{};
      const float* const values = &points_[s * count_];
      for (size_t i = 0; i < count_; ++i) sums[digits_[i]] += values[i];
      for (size_t entry = 0; entry < kEntries; ++entry) {
        if (sizes[entry] == 0) continue;
        entries[s * kEntries + entry] =
            static_cast<float>(sums[entry] / sizes[entry]);
      }
    }
    if (std::count(sizes.begin(), sizes.end(), 0U) == 0) return false;
    return Repair(sizes, entries);
  }

  bool Repair(const std::array<uint32_t, kEntries>& sizes, float* entries) {
    std::vector<float> distances(count_);
    for (size_t i = 0; i < count_; ++i) {
      distances[i] = Distance(i, digits_[i], entries);
    }
    bool moved = false;
    for (size_t entry = 0; entry < kEntries; ++entry) {
      if (sizes[entry] != 0) continue;
      const auto farthest =
          std::max_element(distances.begin(), distances.end());
      if (*farthest <= 0) break;  // every point has an entry of its own
      Place(static_cast<size_t>(farthest - distances.begin()), entry, entries);
      for (size_t i = 0; i < count_; ++i) {
        distances[i] = std::min(distances[i], Distance(i, entry, entries));
      }
      moved = true;
    }
    return moved;
  }

  float Distance(size_t point, size_t entry, const float* entries) const {
    float distance = 0;
    for (size_t s = 0; s < width_; ++s) {
      const float x =
          points_[s * count_ + point] - entries[s * kEntries + entry];
      distance += x * x;
    }
    return distance;
  }

  const std::vector<float> points_;
  const size_t width_;
  const size_t count_;
  const KernelTable& kernels_;
  std::vector<uint8_t> digits_;
};

// Dimensions [first, first + width) of `rows`, side by side; the first rows
// once more at the end to fill the last lanes.
std::vector<float> Pieces(std::span<const float> rows, size_t dimension,
                          size_t first, size_t width) {
  const size_t count = rows.size() / dimension;
  const size_t padded = (count + kLanes - 1) / kLanes * kLanes;
  std::vector<float> points(width * padded);
  for (size_t i = 0; i < padded; ++i) {
    const float* const row = &rows[i % count * dimension + first];
    for (size_t s = 0; s < width; ++s) points[s * padded + i] = row[s];
  }
  return points;
}

}  // namespace

absl::StatusOr<ProductQuantizer> ProductQuantizer::Train(
    std::span<const float> rows, uint32_t dimension, uint32_t pq_m,
    uint64_t seed, const KernelTable& kernels, BuildTeam& team) {
  ProductQuantizer quantizer(dimension, pq_m, kernels);
  TIMBRE_RETURN_IF_ERROR(team.ForEach(pq_m, [&](size_t m, size_t) {
    const size_t width = quantizer.width_;
    PieceTrainer trainer(Pieces(rows, dimension, m * width, width), width,
                         kernels);
    std::mt19937_64 random(seed + m);
    trainer.Run(random, quantizer.EntriesOf(m));
  }));
  return quantizer;
}

void ProductQuantizer::Encode(const float* rows, size_t count,
                              EncodeScratch& scratch, uint32_t* words) const {
  const size_t dimension = size_t{pq_m_} * width_;
  const size_t octets = OctetsOf(pq_m_);
  scratch.points.resize(dimension * kLanes);
  scratch.digits.resize(pq_m_ * kLanes);
  std::fill_n(words, count * octets, 0U);
  for (size_t first = 0; first < count;
       first += kLanes, rows += kLanes * dimension) {
    const size_t n = std::min(kLanes, count - first);
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < dimension; ++j) {
        scratch.points[j * kLanes + i] = rows[i * dimension + j];
      }
    }
    for (size_t m = 0; m < pq_m_; ++m) {
      kernels_->nearest_entries(&scratch.points[m * width_ * kLanes], kLanes,
                                kLanes, width_, EntriesOf(m),
                                &scratch.digits[m * kLanes]);
    }
    for (size_t m = 0; m < pq_m_; ++m) {
      const size_t shift = DigitShift(m);
      for (size_t i = 0; i < n; ++i) {
        words[(first + i) * octets + m / kDigitsPerOctet] |=
            uint32_t{scratch.digits[m * kLanes + i]} << shift;
      }
    }
  }
}

std::vector<float> ProductQuantizer::Codebooks() const {
  std::vector<float> books(entries_.size());
  for (size_t m = 0; m < pq_m_; ++m) {
    for (size_t s = 0; s < width_; ++s) {
      for (size_t entry = 0; entry < kEntries; ++entry) {
        books[(m * kEntries + entry) * width_ + s] =
            EntriesOf(m)[s * kEntries + entry];
      }
    }
  }
  return books;
}

}  // namespace timbre
