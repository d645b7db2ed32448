#include "server/engine/faiss_train.h"

#include <faiss/Clustering.h>
#include <faiss/IndexFlat.h>
#include <faiss/IndexIVFPQFastScan.h>
#include <faiss/impl/io.h>
#include <faiss/index_io.h>
#include <omp.h>

#include <algorithm>
#include <memory>
#include <random>
#include <utility>

#include "server/base/file_system.h"
#include "server/base/status_macros.h"
#include "server/engine/faiss_guard.h"

// OpenBLAS's own setting, where it is the BLAS that faiss was linked with.
extern "C" void openblas_set_num_threads(int) __attribute__((weak));

namespace timbre {
namespace {

using idx_t = int64_t;  // faiss::Index::idx_t, then faiss::idx_t

// Frames that are compared with all centroids between two looks at whether the
// build goes on: a fraction of a second's work, whatever their number.
constexpr idx_t kMaxSliceRows = 16384;
constexpr idx_t kMinSliceRows = 64;
constexpr double kSliceOperations = 1e10;
constexpr int kIterations = 10;  // faiss's default for IVF
constexpr size_t kPqEntries = 16;
constexpr int kFaissBlock = 32;  // codes

void UseThreads(int threads) {
  omp_set_num_threads(threads);  // of this thread alone
  if (openblas_set_num_threads != nullptr) openblas_set_num_threads(threads);
}

idx_t SliceRows(idx_t centroids, uint32_t dimension) {
  return std::clamp(
      static_cast<idx_t>(kSliceOperations /
                         (static_cast<double>(centroids) * dimension)),
      kMinSliceRows, kMaxSliceRows);
}

// Between two slices: whether, and with how many threads, the build goes on.
void StopIfCancelled(const TrainingInput& input) {
  if (input.observer == nullptr) return;
  if (input.observer->cancelled()) throw BuildCancelled();
  UseThreads(std::max(1, input.observer->ThreadsNow(input.threads)));
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
    const idx_t slice = SliceRows(ntotal, input_.dimension);
    for (idx_t first = 0; first < n; first += slice) {
      const idx_t count = std::min(slice, n - first);
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

// Row numbers to train k centroids on, in increasing order: all, or as many as
// faiss would take. Drawn here, because faiss would touch every page of the
// mapped frames beside the copy that it makes.
std::vector<float> DrawSample(const TrainingInput& input, uint64_t k) {
  const faiss::ClusteringParameters parameters = Parameters(input);
  const uint64_t wanted =
      k * static_cast<uint64_t>(parameters.max_points_per_centroid);
  if (input.rows <= wanted) return {};
  std::mt19937_64 random(static_cast<uint64_t>(parameters.seed));
  std::vector<float> sample;
  sample.reserve(wanted * input.dimension);
  uint64_t left = wanted;
  for (uint64_t row = 0; row < input.rows && left > 0; ++row) {
    // Selection sampling (Knuth, The Art of Computer Programming 3.4.2, S).
    if (random() % (input.rows - row) < left) {
      const float* const frame = input.frames + row * input.dimension;
      sample.insert(sample.end(), frame, frame + input.dimension);
      --left;
    }
    if ((row + 1) % kMaxSliceRows == 0 && input.release) {
      input.release(row + 1 - kMaxSliceRows, kMaxSliceRows);
    }
  }
  return sample;
}

// Leaves the centroids in `index`.
void Cluster(const TrainingInput& input, uint64_t k, faiss::IndexFlat& index) {
  const std::vector<float> sample = DrawSample(input, k);
  const bool sampled = !sample.empty();
  faiss::Clustering clustering(static_cast<int>(input.dimension),
                               static_cast<int>(k), Parameters(input));
  clustering.train(static_cast<idx_t>(sampled ? sample.size() / input.dimension
                                              : input.rows),
                   sampled ? sample.data() : input.frames, index);
}

// faiss's writer ignores what close(2) says and knows no full disk.
class FileWriter : public faiss::IOWriter {
 public:
  explicit FileWriter(OutputFile& file) : file_(file) {}
  size_t operator()(const void* data, size_t size, size_t count) override {
    if (status_.ok()) status_ = file_.Append(data, size * count);
    return status_.ok() ? count : 0;
  }
  const absl::Status& status() const { return status_; }

 private:
  OutputFile& file_;
  absl::Status status_;
};

void Assign(const TrainingInput& input, const faiss::IndexFlat& quantizer,
            std::vector<idx_t>& lists) {
  lists.resize(input.rows);
  const idx_t slice = SliceRows(quantizer.ntotal, input.dimension);
  std::vector<float> distances(static_cast<size_t>(slice));
  const auto rows = static_cast<idx_t>(input.rows);
  for (idx_t first = 0; first < rows; first += slice) {
    const idx_t count = std::min(slice, rows - first);
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
  const idx_t slice =
      SliceRows(static_cast<idx_t>(index.nlist), input.dimension);
  for (idx_t first = 0; first < rows; first += slice) {
    const idx_t count = std::min(slice, rows - first);
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
  TIMBRE_ASSIGN_OR_RETURN(OutputFile file, OutputFile::Create(path));
  FileWriter writer(file);
  const absl::Status trained =
      GuardFaiss(absl::StatusCode::kInternal, "training", [&] {
        UseThreads(input.threads);
        const auto quantizer = TrainQuantizer(input, spec.nlist);
        faiss::IndexIVFPQFastScan index(quantizer.get(), input.dimension,
                                        spec.nlist, spec.pq_m, 4,
                                        quantizer->metric_type, kFaissBlock);
        index.by_residual = false;  // one look-up table serves every list
        index.nprobe = nprobe;
        Report(input, BuildStage::kTraining, 1);
        TrainProductQuantizer(input, index);
        AddRows(input, index);
        faiss::write_index(&index, &writer);
      });
  TIMBRE_RETURN_IF_ERROR(writer.status());
  TIMBRE_RETURN_IF_ERROR(trained);
  return file.Sync();
}

}  // namespace timbre
