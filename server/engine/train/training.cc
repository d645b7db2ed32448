#include "server/engine/train/training.h"

#include <functional>
#include <random>
#include <span>
#include <utility>

#include "server/base/status_macros.h"
#include "server/engine/train/kmeans.h"
#include "server/engine/train/product_quantizer.h"

namespace timbre {
namespace {

constexpr uint64_t kRowsAtOnce = 256;        // of an item of work
constexpr uint64_t kRowsPerRelease = 16384;  // mapped pages that were read
// Of the stage of training, by the time that they take.
constexpr double kCentroidsShare = 0.9;

// `wanted` of the rows, drawn at random, in their order.
std::vector<float> DrawSample(const TrainingInput& input, uint64_t wanted) {
  const uint64_t rows = input.frames.rows();
  const uint32_t n = input.frames.dimension();
  std::mt19937_64 random(input.seed);
  std::vector<float> sample;
  sample.reserve(wanted * n);
  uint64_t left = wanted;
  for (uint64_t row = 0; row < rows && left > 0; ++row) {
    // Selection sampling (Knuth, The Art of Computer Programming 3.4.2, S).
    if (random() % (rows - row) < left) {
      sample.insert(sample.end(), input.Row(row), input.Row(row) + n);
      --left;
    }
    if ((row + 1) % kRowsPerRelease == 0) {
      input.frames.Release(row + 1 - kRowsPerRelease, kRowsPerRelease);
    }
  }
  return sample;
}

// Rows to train on: all, where they lie, or a sample.
class TrainingRows {
 public:
  TrainingRows(const TrainingInput& input, uint64_t most) {
    const uint64_t rows = input.frames.rows();
    if (rows > most) sample_ = DrawSample(input, most);
    rows_ = rows > most ? std::span<const float>(sample_)
                        : std::span<const float>(
                              input.Row(0), rows * input.frames.dimension());
  }
  std::span<const float> rows() const { return rows_; }

 private:
  std::vector<float> sample_;
  std::span<const float> rows_;
};

// Puts every row into its list; `visit(first, count, worker)` sees the rows
// meanwhile.
absl::Status AddRows(
    const TrainingInput& input, IvfParts& parts,
    absl::FunctionRef<void(uint64_t first, size_t count, size_t worker)>
        visit) {
  input.team.Enter(BuildStage::kAdding);
  const uint64_t rows = input.frames.rows();
  const CoarseQuantizer centroids(parts.centroids, parts.dimension,
                                  input.metric, input.kernels);
  std::vector<uint32_t> nearest(rows);
  std::vector<CoarseScratch> scratch(input.team.threads());
  TIMBRE_RETURN_IF_ERROR(input.team.ForRanges(
      rows, kRowsAtOnce, [&](size_t first, size_t count, size_t worker) {
        AssignRows(centroids, input.Row(first), parts.dimension,
                   scratch[worker], {&nearest[first], count});
        visit(first, count, worker);
        input.frames.Release(first, count);
      }));
  GroupRows(nearest, parts.nlist, parts.list_begin, parts.ids);
  return absl::OkStatus();
}

absl::StatusOr<IvfParts> TrainCentroids(const TrainingInput& input,
                                        const IndexSpec& spec) {
  IvfParts parts;
  parts.dimension = input.frames.dimension();
  parts.nlist = spec.nlist;
  input.team.Enter(BuildStage::kTraining, 0, kCentroidsShare);
  TIMBRE_ASSIGN_OR_RETURN(const std::vector<float> centers,
                          TrainCenters(input, spec.nlist));
  parts.centroids.assign(centers.begin(), centers.end());
  return parts;
}

}  // namespace

absl::StatusOr<std::vector<float>> TrainCenters(const TrainingInput& input,
                                                uint32_t k) {
  const TrainingRows rows(input, KMeansRows(k));
  return TrainKMeans(rows.rows(),
                     {.k = k,
                      .dimension = input.frames.dimension(),
                      .metric = input.metric,
                      .seed = input.seed},
                     input.kernels, input.team);
}

absl::StatusOr<IvfParts> TrainLists(const TrainingInput& input,
                                    const IndexSpec& spec) {
  TIMBRE_ASSIGN_OR_RETURN(IvfParts parts, TrainCentroids(input, spec));
  TIMBRE_RETURN_IF_ERROR(
      AddRows(input, parts, [](uint64_t, size_t, size_t) {}));
  return parts;
}

absl::StatusOr<CodedLists> TrainCodedLists(const TrainingInput& input,
                                           const IndexSpec& spec) {
  CodedLists coded;
  TIMBRE_ASSIGN_OR_RETURN(coded.parts, TrainCentroids(input, spec));
  input.team.Enter(BuildStage::kTraining, kCentroidsShare, 1);
  const uint32_t n = coded.parts.dimension;
  const TrainingRows sample(input, ProductQuantizer::kTrainingRows);
  TIMBRE_ASSIGN_OR_RETURN(
      const ProductQuantizer quantizer,
      ProductQuantizer::Train(sample.rows(), n, spec.pq_m, input.seed,
                              input.kernels, input.team));
  coded.parts.pq_m = spec.pq_m;
  const std::vector<float> codebooks = quantizer.Codebooks();
  coded.parts.codebooks.assign(codebooks.begin(), codebooks.end());
  const size_t octets = OctetsOf(spec.pq_m);
  coded.words.resize(input.frames.rows() * octets);
  std::vector<EncodeScratch> scratch(input.team.threads());
  TIMBRE_RETURN_IF_ERROR(AddRows(
      input, coded.parts, [&](uint64_t first, size_t count, size_t worker) {
        quantizer.Encode(input.Row(first), count, scratch[worker],
                         &coded.words[first * octets]);
      }));
  return coded;
}

}  // namespace timbre
