// A Build as strangers may send it: its messages, then the index that comes of
// them, which must open, search and blend like any other.
#include <cfloat>
#include <cmath>
#include <optional>
#include <vector>

#include "server/catalog/records/file_names.h"
#include "server/catalog/records/version_record.h"
#include "server/engine/build/builder.h"
#include "server/engine/frames/frame_writer.h"
#include "server/engine/search/blender.h"
#include "server/kernels/kernels.h"
#include "server/service/contract/build_options.h"
#include "server/service/contract/frame_codec.h"
#include "tests/fuzz/files.h"
#include "tests/fuzz/messages.h"

namespace timbre::fuzz {
namespace {

// What trains in a millisecond or two.
constexpr uint64_t kMaxNumbers = 4096;
constexpr uint32_t kMaxDimensions = 64;

class NullObserver : public BuildObserver {
 public:
  void OnProgress(BuildStage, double) override {}
  bool cancelled() const override { return false; }
};

struct Upload {
  v1::BuildOptions options;
  CheckedBuildOptions checked;
  std::vector<float> frames;  // [rows, dimension]
  uint64_t rows = 0;
  uint32_t dimension = 0;
};

bool Refused(const absl::Status& status) {
  if (status.ok()) return false;
  if (status.code() != absl::StatusCode::kUnimplemented) {
    RequireNamesField(status);
  }
  return true;
}

// As BuildSession takes them. Nothing where a message was refused.
std::optional<Upload> Receive(Bytes& bytes) {
  Upload upload;
  v1::BuildRequest request;
  if (!NextMessage(bytes, request) || !request.has_options()) return {};
  upload.options = request.options();
  const auto checked = CheckBuildOptions(upload.options);
  if (Refused(checked.status())) return {};
  upload.checked = *checked;
  upload.dimension = upload.options.dimension();
  FrameBatch batch;
  while (!bytes.empty()) {
    if (!NextMessage(bytes, request) || !request.has_frames()) return {};
    const v1::Frames& frames = request.frames();
    if (Refused(DecodeFrames(frames, upload.dimension, BestKernels(), batch))) {
      return {};
    }
    if (batch.rows == 0) continue;
    upload.dimension = frames.dimension();
    if (Refused(CheckBuildDimension(upload.checked, upload.dimension))) {
      return {};
    }
    upload.frames.insert(upload.frames.end(), batch.data.begin(),
                         batch.data.end());
    upload.rows += batch.rows;
  }
  return upload;
}

BuildPlan PlanOf(const Upload& upload, const std::string& directory,
                 const FrameWriter& writer) {
  const v1::BuildOptions& options = upload.options;
  BuildPlan plan{.source_path = writer.path(),
                 .work_directory = directory,
                 .frames_path = FilePath(directory, kFramesFile),
                 .index_path = FilePath(directory, kIndexFile),
                 .rows = upload.rows,
                 .dimension = upload.dimension,
                 .fits_half = writer.fits_half(),
                 .metric = upload.checked.metric,
                 .spec = upload.checked.spec,
                 .storage = upload.checked.storage,
                 .reduce_to_centroids = options.reduce_to_centroids(),
                 .database_expansion_k = options.database_expansion_k(),
                 .seed = options.seed()};
  if (options.database_expansion_alpha() != 0) {
    plan.database_expansion_alpha = options.database_expansion_alpha();
  }
  if (options.target_recall() != 0) {
    plan.target_recall = options.target_recall();
  }
  return plan;
}

// A version that is published can be understood by the next start.
void CheckManifest(const Upload& upload, const BuildResult& result) {
  storage::Manifest manifest;
  manifest.set_frames(result.rows);
  manifest.set_dimension(upload.dimension);
  manifest.set_metric(std::string(MetricName(upload.checked.metric)));
  manifest.set_storage(result.storage == ElementType::kFloat16 ? "float16"
                                                               : "float32");
  manifest.set_index_factory(ToString(result.spec));
  manifest.set_default_k(kMeasuredK);
  SetTuning(result.tuning, manifest);
  manifest.add_files()->set_name(kFramesFile);
  manifest.add_files()->set_name(kIndexFile);
  manifest.set_digest(DigestOfFiles(manifest));
  const auto record = ParseManifest(manifest);
  Require(record.ok(), "what is built can be published",
          manifest.ShortDebugString());
  Require(record->tuning == result.tuning && record->spec == result.spec,
          "what is built is read back", manifest.ShortDebugString());
}

void CheckNeighbors(const SpeakerIndex& index, const int64_t* ids,
                    const float* distances, uint32_t k, bool every) {
  const bool l2 = index.metric() == Metric::kL2;
  const auto rows = static_cast<int64_t>(index.rows());
  for (uint32_t i = 0; i < k; ++i) {
    if (ids[i] == -1) {
      Require(distances[i] == (l2 ? FLT_MAX : -FLT_MAX),
              "no neighbour is infinitely far");
      Require(!every || i >= index.rows(), "every row is found");
      continue;
    }
    Require(ids[i] >= 0 && ids[i] < rows, "ids are rows");
    Require(std::isfinite(distances[i]), "distances are finite");
    if (i == 0) continue;
    Require(ids[i - 1] != -1, "missing neighbours come last");
    Require(l2 ? distances[i - 1] <= distances[i]
               : distances[i - 1] >= distances[i],
            "the nearest come first");
    for (uint32_t j = 0; j < i; ++j) {
      Require(ids[j] != ids[i], "a row is found once");
    }
  }
}

void CheckSearches(const SpeakerIndex& index, const Upload& upload,
                   const SearchSettings& settings, Weighting weighting) {
  const size_t rows = std::min<size_t>(upload.rows, 16);
  const uint32_t k = settings.k;
  std::vector<int64_t> ids(rows * k);
  std::vector<float> distances(rows * k);
  SearchScratch scratch;
  const float* const frames = upload.frames.data();
  Require(
      index
          .Search(frames, rows, settings, scratch, ids.data(), distances.data())
          .ok(),
      "an index can be searched");
  const bool every = index.spec().kind == IndexKind::kFlat ||
                     (settings.nprobe == index.spec().nlist &&
                      (index.spec().kind == IndexKind::kIvfFlat ||
                       settings.candidates >= index.rows()));
  for (size_t i = 0; i < rows; ++i) {
    CheckNeighbors(index, &ids[i * k], &distances[i * k], k, every);
  }
  BlendScratch blend;
  BlendTotals totals;
  const std::vector<float> rates(rows, 0.75F);
  std::vector<float> out(rows * upload.dimension);
  Blend(index, frames, rows, {k, ids.data(), distances.data()}, rates.data(),
        {.weighting = weighting}, blend, out.data(), totals);
  for (const float x : out) Require(std::isfinite(x), "blends are finite");
  Require(std::isfinite(totals.shift) && totals.shift >= 0 &&
              std::isfinite(totals.nearest_distance),
          "what blending did is told in numbers");
}

void Build(const Upload& upload) {
  static const MemoryDirectory directory;
  const KernelTable& kernels = BestKernels();
  auto writer = FrameWriter::Create(
      directory.File("received.npy"), ElementType::kFloat32, upload.dimension,
      upload.checked.storage == ElementType::kFloat16, kernels);
  Require(writer.ok() &&
              writer->Append(upload.frames.data(), upload.rows).ok() &&
              writer->Finish().ok(),
          "frames can be written");
  NullObserver observer;
  const BuildPlan plan = PlanOf(upload, directory.path(), *writer);
  const auto result = BuildIndex(plan, kernels, observer);
  Require(result.ok(), "what was accepted can be built",
          result.status().ToString());
  CheckManifest(upload, *result);
  const auto index = OpenBuilt(plan, *result, kernels);
  Require(index.ok(), "what was built opens", index.status().ToString());
  const Tuning& tuning = result->tuning;
  const SearchSettings defaults{
      .k = kMeasuredK,
      .nprobe = tuning.nprobe,
      .candidates = CandidatesOf(kMeasuredK, tuning.k_factor)};
  CheckSearches(**index, upload, defaults, Weighting::kInverseSquareDistance);
  const SearchSettings most{
      .k = 100, .nprobe = std::max(1U, result->spec.nlist), .candidates = 5000};
  CheckSearches(**index, upload, most, Weighting::kCosinePower);
}

}  // namespace
}  // namespace timbre::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  timbre::fuzz::Bytes bytes(data, size);
  const auto upload = timbre::fuzz::Receive(bytes);
  if (!upload || upload->rows == 0 ||
      upload->dimension > timbre::fuzz::kMaxDimensions ||
      upload->frames.size() > timbre::fuzz::kMaxNumbers) {
    return 0;
  }
  timbre::fuzz::Build(*upload);
  return 0;
}
