#include "server/engine/build/builder.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/checksum.h"
#include "server/base/errors.h"
#include "server/base/file_system.h"
#include "server/base/status_macros.h"
#include "server/engine/build/database_expansion.h"
#include "server/engine/faiss/coded_file.h"
#include "server/engine/faiss/faiss_export.h"
#include "server/engine/frames/exact_scorer.h"
#include "server/engine/frames/frame_store.h"
#include "server/engine/frames/frame_writer.h"
#include "server/engine/train/build_team.h"
#include "server/engine/train/training.h"
#include "server/engine/tune/tuner.h"
#include "server/engine/tune/tuning_queries.h"

namespace timbre {
namespace {

// The nprobe in the stored index file, for workers that read it without Timbre;
// exports hold the tuned one.
constexpr uint32_t kStoredNprobe = 16;
constexpr uint64_t kCopyRows = 1024;

// One build on its way from file to file.
class Build {
 public:
  Build(const BuildPlan& plan, const KernelTable& kernels,
        BuildObserver& observer)
      : plan_(plan),
        kernels_(kernels),
        observer_(observer),
        team_(plan.threads, observer) {
    source_ = plan.source_path;
    result_.rows = plan.rows;
    fits_half_ = plan.fits_half;
  }

  absl::StatusOr<BuildResult> Run() {
    TIMBRE_RETURN_IF_ERROR(Reduce());
    TIMBRE_RETURN_IF_ERROR(Expand());
    ResolveSpec();
    TIMBRE_RETURN_IF_ERROR(WriteIndexFile());
    TIMBRE_RETURN_IF_ERROR(StoreFrames());
    TIMBRE_RETURN_IF_ERROR(Tune());
    return std::move(result_);
  }

 private:
  std::string Path(absl::string_view name) const {
    return absl::StrCat(plan_.work_directory, "/", name);
  }

  absl::StatusOr<FrameStore> OpenSource() const {
    return FrameStore::Open(source_, ElementType::kFloat32, result_.rows,
                            plan_.dimension, kernels_, *plan_.files);
  }

  TrainingInput Input(const FrameStore& store, Metric metric) {
    return {.frames = store,
            .metric = metric,
            .seed = plan_.seed,
            .kernels = kernels_,
            .team = team_};
  }

  // Replaces the frames by k-means centres.
  absl::Status Reduce() {
    const uint64_t k = plan_.reduce_to_centroids;
    if (k == 0 || k >= result_.rows) return absl::OkStatus();
    team_.Enter(BuildStage::kReducing);
    TIMBRE_ASSIGN_OR_RETURN(const FrameStore store, OpenSource());
    // L2 as RVC does, whatever the index's metric.
    TIMBRE_ASSIGN_OR_RETURN(
        const std::vector<float> centers,
        TrainCenters(Input(store, Metric::kL2), static_cast<uint32_t>(k)));
    TIMBRE_RETURN_IF_ERROR(store.Check());
    TIMBRE_ASSIGN_OR_RETURN(
        FrameWriter writer,
        FrameWriter::Create(
            Path("reduced.npy"), ElementType::kFloat32, plan_.dimension,
            plan_.storage == ElementType::kFloat16, kernels_, *plan_.files));
    TIMBRE_RETURN_IF_ERROR(writer.Append(centers.data(), k));
    TIMBRE_RETURN_IF_ERROR(writer.Finish());
    TIMBRE_RETURN_IF_ERROR(RemoveTree(source_, *plan_.files));
    source_ = writer.path();
    result_.rows = k;
    fits_half_ = writer.fits_half();
    return absl::OkStatus();
  }

  // Replaces the frames by means of their nearest ones.
  absl::Status Expand() {
    if (plan_.database_expansion_k == 0) return absl::OkStatus();
    BuildPlan plan = plan_;
    plan.source_path = source_;
    plan.rows = result_.rows;
    plan.fits_half = fits_half_;
    TIMBRE_ASSIGN_OR_RETURN(const ExpandedFrames expanded,
                            ExpandFrames(plan, kernels_, observer_));
    source_ = expanded.path;
    fits_half_ = expanded.fits_half;
    return absl::OkStatus();
  }

  void ResolveSpec() {
    result_.spec = plan_.spec ? *plan_.spec
                              : ChooseIndexSpec(result_.rows, plan_.dimension);
    if (result_.spec.nlist > result_.rows) {
      result_.warnings.push_back(
          absl::StrCat("nlist was lowered from ", result_.spec.nlist, " to ",
                       result_.rows, ", the number of stored frames"));
      result_.spec.nlist = static_cast<uint32_t>(result_.rows);
    }
    const ElementType lossless =
        fits_half_ ? ElementType::kFloat16 : ElementType::kFloat32;
    result_.storage = plan_.storage.value_or(lossless);
  }

  absl::Status WriteIndexFile() {
    observer_.OnProgress(BuildStage::kTraining, 0);
    if (plan_.metric != Metric::kCosine) return WriteIndexOver(source_);
    TIMBRE_RETURN_IF_ERROR(WriteNormalized(Path("normalized.npy")));
    TIMBRE_RETURN_IF_ERROR(WriteIndexOver(Path("normalized.npy")));
    return RemoveTree(Path("normalized.npy"), *plan_.files);
  }

  // `path` holds what the index is made of: unit vectors for kCosine.
  absl::Status WriteIndexOver(const std::string& path) {
    TIMBRE_ASSIGN_OR_RETURN(
        const FrameStore store,
        FrameStore::Open(path, ElementType::kFloat32, result_.rows,
                         plan_.dimension, kernels_, *plan_.files));
    const std::string& index_path = plan_.index_path;
    const uint32_t nprobe = std::clamp(result_.spec.nlist, 1U, kStoredNprobe);
    if (result_.spec.kind == IndexKind::kIvfPq) {
      TIMBRE_ASSIGN_OR_RETURN(
          const CodedLists lists,
          TrainCodedLists(Input(store, plan_.metric), result_.spec));
      TIMBRE_RETURN_IF_ERROR(store.Check());
      return WriteCodedFile(lists, plan_.metric, nprobe, index_path,
                            *plan_.files);
    }
    // The rows of `store` are normalised already: L2 and inner product write
    // them as they are.
    const Metric metric =
        plan_.metric == Metric::kL2 ? Metric::kL2 : Metric::kInnerProduct;
    if (result_.spec.kind == IndexKind::kFlat) {
      observer_.OnProgress(BuildStage::kAdding, 0);
      ByteSource file = FlatFile(store, metric, kernels_);
      return WriteToFile(file, index_path, *plan_.files);
    }
    TIMBRE_ASSIGN_OR_RETURN(
        const IvfParts parts,
        TrainLists(Input(store, plan_.metric), result_.spec));
    ByteSource file = IvfFlatFile(store, metric, &parts, nprobe, kernels_);
    return WriteToFile(file, index_path, *plan_.files);
  }

  absl::Status WriteNormalized(const std::string& path) {
    TIMBRE_ASSIGN_OR_RETURN(
        FrameWriter writer,
        FrameWriter::Create(path, ElementType::kFloat32, plan_.dimension, false,
                            kernels_, *plan_.files));
    std::vector<float> unit(plan_.dimension);
    TIMBRE_RETURN_IF_ERROR(ForEachRow([&](const float* row) {
      Normalize(row, plan_.dimension, kernels_, unit.data());
      return writer.Append(unit.data(), 1);
    }));
    return writer.Finish();
  }

  // The frames as they stay: the source itself, or its float16 copy.
  absl::Status StoreFrames() {
    const std::string& path = plan_.frames_path;
    if (result_.storage == ElementType::kFloat32) {
      return plan_.files->Rename(source_, path);
    }
    TIMBRE_ASSIGN_OR_RETURN(
        FrameWriter writer,
        FrameWriter::Create(path, ElementType::kFloat16, plan_.dimension, false,
                            kernels_, *plan_.files));
    TIMBRE_RETURN_IF_ERROR(
        ForEachRow([&](const float* row) { return writer.Append(row, 1); }));
    TIMBRE_RETURN_IF_ERROR(writer.Finish());
    return RemoveTree(source_, *plan_.files);
  }

  absl::Status Tune() {
    TIMBRE_ASSIGN_OR_RETURN(const auto index,
                            OpenBuilt(plan_, result_, kernels_));
    const OwnQueries queries = MakeOwnQueries(index->store(), plan_.seed,
                                              OwnQueryCount(index->rows()));
    TIMBRE_ASSIGN_OR_RETURN(
        Measured measured,
        MeasureCurve(*index, {queries.frames, queries.own},
                     {.target_recall = plan_.target_recall}, team_));
    result_.tuning = TuningFor(std::move(measured.curve), plan_.target_recall);
    return absl::OkStatus();
  }

  template <typename Visit>
  absl::Status ForEachRow(Visit&& visit) {
    TIMBRE_ASSIGN_OR_RETURN(const FrameStore store, OpenSource());
    for (uint64_t id = 0; id < store.rows(); ++id) {
      TIMBRE_RETURN_IF_ERROR(
          visit(reinterpret_cast<const float*>(store.RawRow(id))));
      if ((id + 1) % kCopyRows != 0) continue;
      store.Release(id + 1 - kCopyRows, kCopyRows);
      if (observer_.cancelled()) {
        return absl::CancelledError("the build was cancelled");
      }
    }
    return store.Check();
  }

  const BuildPlan& plan_;
  const KernelTable& kernels_;
  BuildObserver& observer_;
  BuildTeam team_;
  std::string source_;  // float32 frames as they are now
  bool fits_half_ = false;
  BuildResult result_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<SpeakerIndex>> OpenBuilt(
    const BuildPlan& plan, const BuildResult& result,
    const KernelTable& kernels) {
  IndexDescription description{.spec = result.spec,
                               .metric = plan.metric,
                               .storage = result.storage,
                               .rows = result.rows,
                               .dimension = plan.dimension,
                               .frames_path = plan.frames_path,
                               .index_path = plan.index_path,
                               .index_digest = "",
                               .files = plan.files};
  TIMBRE_ASSIGN_OR_RETURN(description.index_digest,
                          DigestOfFile(description.index_path, *plan.files));
  return SpeakerIndex::Open(description, kernels);
}

absl::StatusOr<BuildResult> BuildIndex(const BuildPlan& plan,
                                       const KernelTable& kernels,
                                       BuildObserver& observer) {
  return Build(plan, kernels, observer).Run();
}

}  // namespace timbre
