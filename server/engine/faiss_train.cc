#include "server/engine/faiss_train.h"

#include <faiss/Clustering.h>
#include <faiss/IndexFlat.h>
#include <faiss/IndexIVFPQFastScan.h>
#include <faiss/index_io.h>
#include <omp.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "server/base/status_macros.h"
#include "server/engine/faiss_guard.h"

// OpenBLAS's own setting, where it is the BLAS that faiss was linked with.
extern "C" void openblas_set_num_threads(int) __attribute__((weak));

namespace timbre {
namespace {

using idx_t = int64_t;  // faiss::Index::idx_t, then faiss::idx_t

constexpr idx_t kSliceRows = 16384;
constexpr int kIterations = 10;  // faiss's default for IVF
constexpr size_t kPqEntries = 16;

void UseThreads(int threads) {
  omp_set_num_threads(threads);  // of this thread alone
  if (openblas_set_num_threads != nullptr) openblas_set_num_threads(threads);
}

void StopIfCancelled(const TrainingInput& input) {
  if (input.observer != nullptr && input.observer->cancelled()) {
    throw BuildCancelled();
  }
}

void Report(const TrainingInput& input, BuildStage stage, double fraction) {
  StopIfCancelled(input);
  if (input.observer != nullptr) {
    input.observer->OnProgress(stage, std::min(fraction, 1.0));
  }
}

// Nearest centroids for k-means, slice by slice: between slices the build
// reports where it is and can be cancelled.
class ObservedFlat : public faiss::IndexFlat {
 public:
  ObservedFlat(const TrainingInput& input, BuildStage stage)
      : IndexFlat(input.dimension, input.metric == Metric::kL2
                                       ? faiss::METRIC_L2
                                       : faiss::METRIC_INNER_PRODUCT),
        input_(input),
        stage_(stage) {}

  void search(idx_t n, const float* x, idx_t k, float* distances, idx_t* labels,
              const faiss::SearchParameters* params) const override {
    for (idx_t first = 0; first < n; first += kSliceRows) {
      const idx_t count = std::min(kSliceRows, n - first);
      Report(input_, stage_,
             (searches_ + static_cast<double>(first) / n) / kIterations);
      IndexFlat::search(count, x + first * d, k, distances + first * k,
                        labels + first * k, params);
    }
    ++searches_;
  }

 private:
  const TrainingInput& input_;
  const BuildStage stage_;
  mutable int searches_ = 0;  // used by the training thread alone
};

faiss::ClusteringParameters Parameters(const TrainingInput& input) {
  faiss::ClusteringParameters parameters;
  parameters.niter = kIterations;
  parameters.min_points_per_centroid = 1;  // no warnings on stderr
  parameters.spherical = input.metric != Metric::kL2;
  if (input.seed != 0) {
    parameters.seed = static_cast<int>(input.seed % 0x7fffffffU);
  }
  return parameters;
}

// Leaves the centroids in `index`.
void Cluster(const TrainingInput& input, uint64_t k, faiss::IndexFlat& index) {
  faiss::Clustering clustering(static_cast<int>(input.dimension),
                               static_cast<int>(k), Parameters(input));
  clustering.train(static_cast<idx_t>(input.rows), input.frames, index);
}

void Assign(const TrainingInput& input, const faiss::IndexFlat& quantizer,
            std::vector<idx_t>& lists) {
  lists.resize(input.rows);
  std::vector<float> distances(kSliceRows);
  const auto rows = static_cast<idx_t>(input.rows);
  for (idx_t first = 0; first < rows; first += kSliceRows) {
    const idx_t count = std::min(kSliceRows, rows - first);
    Report(input, BuildStage::kAdding, static_cast<double>(first) / rows);
    quantizer.IndexFlat::search(count, input.frames + first * input.dimension,
                                1, distances.data(), &lists[first], nullptr);
    if (input.release) input.release(first, count);
  }
}

// Rows in increasing order within each list.
void FillLists(const std::vector<idx_t>& lists, IvfParts& parts) {
  parts.list_begin.assign(size_t{parts.nlist} + 1, 0);
  for (const idx_t list : lists) ++parts.list_begin[list + 1];
  for (size_t i = 0; i < parts.nlist; ++i) {
    parts.list_begin[i + 1] += parts.list_begin[i];
  }
  parts.ids.resize(lists.size());
  std::vector<uint32_t> next(parts.list_begin.begin(),
                             parts.list_begin.end() - 1);
  for (size_t row = 0; row < lists.size(); ++row) {
    parts.ids[next[lists[row]]++] = static_cast<uint32_t>(row);
  }
}

void TrainProductQuantizer(const TrainingInput& input,
                           faiss::IndexIVFPQFastScan& index) {
  // k-means cannot make 16 centres of fewer rows: repeat them.
  const uint64_t wanted = kPqEntries * index.pq.cp.max_points_per_centroid;
  std::vector<float> sample;
  const uint64_t count =
      std::max<uint64_t>(kPqEntries, std::min(input.rows, wanted));
  sample.reserve(count * input.dimension);
  const uint64_t stride = std::max<uint64_t>(1, input.rows / count);
  for (uint64_t i = 0; i < count; ++i) {
    const float* const row =
        input.frames + (i * stride % input.rows) * input.dimension;
    sample.insert(sample.end(), row, row + input.dimension);
  }
  index.pq.cp.min_points_per_centroid = 1;
  index.pq.cp.seed = Parameters(input).seed;
  index.pq.train(count, sample.data());
  index.is_trained = true;
}

void AddRows(const TrainingInput& input, faiss::IndexIVFPQFastScan& index) {
  const auto rows = static_cast<idx_t>(input.rows);
  for (idx_t first = 0; first < rows; first += kSliceRows) {
    const idx_t count = std::min(kSliceRows, rows - first);
    Report(input, BuildStage::kAdding, static_cast<double>(first) / rows);
    index.add(count, input.frames + first * input.dimension);
    if (input.release) input.release(first, count);
  }
}

std::unique_ptr<faiss::IndexFlat> TrainQuantizer(const TrainingInput& input,
                                                 uint32_t nlist) {
  ObservedFlat centroids(input, BuildStage::kTraining);
  Cluster(input, nlist, centroids);
  // A plain IndexFlatL2 or IndexFlatIP: what read_index gives back.
  std::unique_ptr<faiss::IndexFlat> quantizer;
  if (input.metric == Metric::kL2) {
    quantizer = std::make_unique<faiss::IndexFlatL2>(input.dimension);
  } else {
    quantizer = std::make_unique<faiss::IndexFlatIP>(input.dimension);
  }
  quantizer->add(nlist, centroids.get_xb());
  return quantizer;
}

}  // namespace

absl::StatusOr<std::vector<float>> TrainCenters(const TrainingInput& input,
                                                uint64_t k, BuildStage stage) {
  std::vector<float> centers;
  TIMBRE_RETURN_IF_ERROR(
      GuardFaiss(absl::StatusCode::kInternal, "k-means", [&] {
        UseThreads(input.threads);
        ObservedFlat index(input, stage);
        Cluster(input, k, index);
        const float* const data = index.get_xb();
        centers.assign(data, data + k * input.dimension);
      }));
  return centers;
}

absl::StatusOr<IvfParts> TrainLists(const TrainingInput& input,
                                    uint32_t nlist) {
  IvfParts parts;
  parts.dimension = input.dimension;
  parts.nlist = nlist;
  TIMBRE_RETURN_IF_ERROR(
      GuardFaiss(absl::StatusCode::kInternal, "training", [&] {
        UseThreads(input.threads);
        const auto quantizer = TrainQuantizer(input, nlist);
        const float* const data = quantizer->get_xb();
        parts.centroids.assign(data, data + size_t{nlist} * input.dimension);
        std::vector<idx_t> lists;
        Assign(input, *quantizer, lists);
        FillLists(lists, parts);
      }));
  return parts;
}

absl::Status TrainCodedIndex(const TrainingInput& input, const IndexSpec& spec,
                             uint32_t nprobe, const std::string& path) {
  return GuardFaiss(absl::StatusCode::kInternal, "training", [&] {
    UseThreads(input.threads);
    const auto quantizer = TrainQuantizer(input, spec.nlist);
    faiss::IndexIVFPQFastScan index(
        quantizer.get(), input.dimension, spec.nlist, spec.pq_m, 4,
        quantizer->metric_type, static_cast<int>(kCodesPerBlock));
    index.by_residual = false;  // one look-up table serves every list
    index.nprobe = nprobe;
    Report(input, BuildStage::kTraining, 1);
    TrainProductQuantizer(input, index);
    AddRows(input, index);
    faiss::write_index(&index, path.c_str());
  });
}

}  // namespace timbre
