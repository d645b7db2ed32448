#include "server/service/upload/build_session.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/errors.h"
#include "server/base/file_system.h"
#include "server/base/status_macros.h"
#include "server/catalog/records/file_names.h"
#include "server/service/contract/search_params.h"
#include "server/service/contract/speaker_metadata.h"
#include "server/service/upload/disk_limit.h"

namespace timbre {
namespace {

constexpr uint64_t kRowsPerCheck = 1024;

}  // namespace

absl::Status BuildSession::Accept(const v1::BuildRequest& request,
                                  absl::string_view speaker_metadata,
                                  const std::function<bool()>& cancelled) {
  switch (request.part_case()) {
    case v1::BuildRequest::kOptions:
      return AcceptOptions(request.options(), speaker_metadata, cancelled);
    case v1::BuildRequest::kFrames:
      if (!has_options_) {
        return InvalidField("options", "nothing",
                            "sent in the first request, before frames");
      }
      return AcceptFrames(request.frames());
    default:
      return InvalidField("part", "nothing", "options or frames");
  }
}

absl::Status BuildSession::AcceptOptions(
    const v1::BuildOptions& options, absl::string_view speaker_metadata,
    const std::function<bool()>& cancelled) {
  if (has_options_) {
    return InvalidField("options", "a second one",
                        "sent once, in the first request");
  }
  has_options_ = true;
  options_ = options;
  TIMBRE_ASSIGN_OR_RETURN(checked_, CheckBuildOptions(options));
  TIMBRE_RETURN_IF_ERROR(
      CheckSpeakerMetadata(speaker_metadata, options.speaker()));
  TIMBRE_ASSIGN_OR_RETURN(
      earlier_,
      context_.catalog->FindRequest(options.speaker(), options.request_id()));
  if (earlier_) return absl::OkStatus();
  TIMBRE_RETURN_IF_ERROR(CheckLimits(options.expected_frames(), 0));
  if (options.base_version() != 0) {
    TIMBRE_RETURN_IF_ERROR(OpenBase(cancelled));
  }
  TIMBRE_ASSIGN_OR_RETURN(staging_, context_.catalog->Stage(options.speaker()));
  return absl::OkStatus();
}

absl::Status BuildSession::OpenBase(const std::function<bool()>& cancelled) {
  TIMBRE_ASSIGN_OR_RETURN(
      const StoredFrames base,
      context_.catalog->OpenFrames(
          {options_.speaker(), options_.base_version()}, cancelled));
  base_ = base.store;
  const FrameStore& store = *base_;
  if (options_.dimension() != 0 && options_.dimension() != store.dimension()) {
    return InvalidField("options.dimension", absl::StrCat(options_.dimension()),
                        absl::StrCat(store.dimension(), ", the base's"));
  }
  TIMBRE_RETURN_IF_ERROR(CheckBuildDimension(checked_, store.dimension()));
  return CheckLimits(store.rows() + options_.expected_frames(), 0);
}

uint32_t BuildSession::dimension() const {
  if (writer_) return writer_->dimension();
  return base_ != nullptr ? base_->dimension() : options_.dimension();
}

uint64_t BuildSession::rows() const {
  return (base_ != nullptr ? base_->rows() : 0) +
         (writer_ ? writer_->rows() : 0);
}

absl::Status BuildSession::StartWriting(uint32_t dimension) {
  TIMBRE_RETURN_IF_ERROR(CheckBuildDimension(checked_, dimension));
  TIMBRE_ASSIGN_OR_RETURN(
      writer_,
      FrameWriter::Create(absl::StrCat(staging_->directory(), "/received.npy"),
                          ElementType::kFloat32, dimension,
                          checked_.storage == ElementType::kFloat16,
                          *context_.kernels, staging_->files()));
  return absl::OkStatus();
}

absl::Status BuildSession::AcceptFrames(const v1::Frames& frames) {
  TIMBRE_RETURN_IF_ERROR(
      DecodeFrames(frames, dimension(), *context_.kernels, batch_));
  if (batch_.rows == 0) return absl::OkStatus();
  if (!writer_) TIMBRE_RETURN_IF_ERROR(StartWriting(frames.dimension()));
  TIMBRE_RETURN_IF_ERROR(
      CheckLimits(rows() + batch_.rows, batch_.data.size() * sizeof(float)));
  received_ += batch_.rows;
  if (options_.expected_frames() != 0 &&
      received_ > options_.expected_frames()) {
    return CheckComplete();
  }
  context_.metrics->AddFrames(Rpc::kBuild, batch_.rows);
  return writer_->Append(batch_.data.data(), batch_.rows);
}

absl::Status BuildSession::CheckLimits(uint64_t frames,
                                       uint64_t bytes_to_write) const {
  const uint64_t allowed = context_.build_limits.max_frames;
  const bool flag_decides = allowed != 0 && allowed < kMaxRows;
  if (frames > (flag_decides ? allowed : kMaxRows)) {
    return MakeError(
        absl::StatusCode::kResourceExhausted, "TOO_MANY_FRAMES",
        flag_decides
            ? absl::StrCat("frames: ", frames, " are more than the ", allowed,
                           " that a build may have (--max_build_frames)")
            : absl::StrCat("frames: ", frames, " are more than the ", kMaxRows,
                           " that an index can hold"));
  }
  return CheckFreeDisk(context_, bytes_to_write);
}

absl::Status BuildSession::CheckComplete() const {
  if (!has_options_) {
    return InvalidField("options", "nothing", "sent in the first request");
  }
  if (options_.expected_frames() != 0 &&
      received_ != options_.expected_frames()) {
    return InvalidField(
        "options.expected_frames", absl::StrCat(options_.expected_frames()),
        absl::StrCat("the number of frames received, ", received_));
  }
  if (rows() == 0) {
    return InvalidField("frames", "none", "at least 1 frame");
  }
  return absl::OkStatus();
}

absl::Status BuildSession::PrependBase(const BuildObserver& observer) {
  std::optional<FrameStore> received;
  if (writer_) {
    TIMBRE_RETURN_IF_ERROR(writer_->Finish());
    TIMBRE_ASSIGN_OR_RETURN(
        received, FrameStore::Open(writer_->path(), ElementType::kFloat32,
                                   writer_->rows(), dimension(),
                                   *context_.kernels, staging_->files()));
  }
  TIMBRE_ASSIGN_OR_RETURN(
      FrameWriter all,
      FrameWriter::Create(absl::StrCat(staging_->directory(), "/all.npy"),
                          ElementType::kFloat32, dimension(),
                          checked_.storage == ElementType::kFloat16,
                          *context_.kernels, staging_->files()));
  std::vector<float> row(dimension());
  std::vector<const FrameStore*> stores = {base_.get()};
  if (received) stores.push_back(&*received);
  for (const FrameStore* const store : stores) {
    for (uint64_t id = 0; id < store->rows(); ++id) {
      if (id % kRowsPerCheck == 0 && observer.cancelled()) {
        return absl::CancelledError("the build was cancelled");
      }
      TIMBRE_RETURN_IF_ERROR(all.Append(store->Row(id, row.data()), 1));
    }
    TIMBRE_RETURN_IF_ERROR(store->Check());
  }
  if (writer_) {
    TIMBRE_RETURN_IF_ERROR(RemoveTree(writer_->path(), staging_->files()));
  }
  // Giving a map back takes a lock, which a builder thread must not.
  context_.builders->HandOver([base = std::move(base_)] {});
  base_ = nullptr;
  writer_ = std::move(all);
  return absl::OkStatus();
}

float BuildSession::ExpansionAlpha() const {
  const float alpha = options_.database_expansion_alpha();
  return alpha != 0 ? alpha : kDefaultAlpha;
}

absl::Status BuildSession::Train(BuildObserver& observer) {
  batch_ = {};  // up to a whole message; training has better use for it
  // The copies that are made on the way, and the index.
  const uint64_t bytes = rows() * dimension() * sizeof(float);
  const bool copies = base_ != nullptr || checked_.metric == Metric::kCosine ||
                      options_.database_expansion_k() != 0;
  TIMBRE_RETURN_IF_ERROR(CheckLimits(rows(), copies ? 2 * bytes : bytes));
  if (base_ != nullptr) TIMBRE_RETURN_IF_ERROR(PrependBase(observer));
  TIMBRE_RETURN_IF_ERROR(writer_->Finish());
  const BuildPlan plan{
      .files = &staging_->files(),
      .source_path = writer_->path(),
      .work_directory = staging_->directory(),
      .frames_path = FilePath(staging_->directory(), kFramesFile),
      .index_path = FilePath(staging_->directory(), kIndexFile),
      .rows = writer_->rows(),
      .dimension = writer_->dimension(),
      .fits_half = writer_->fits_half(),
      .metric = checked_.metric,
      .spec = checked_.spec,
      .storage = checked_.storage,
      .reduce_to_centroids = options_.reduce_to_centroids(),
      .database_expansion_k = options_.database_expansion_k(),
      .database_expansion_alpha = options_.database_expansion_alpha() != 0
                                      ? options_.database_expansion_alpha()
                                      : kDefaultAlpha,
      .seed = options_.seed(),
      .target_recall = options_.target_recall() != 0 ? options_.target_recall()
                                                     : kDefaultTargetRecall,
      .threads = context_.build_limits.threads};
  TIMBRE_ASSIGN_OR_RETURN(result_,
                          BuildIndex(plan, *context_.kernels, observer));
  return absl::OkStatus();
}

absl::StatusOr<VersionInfo> BuildSession::Publish(
    const std::function<bool()>& cancelled) {
  storage::Manifest manifest;
  manifest.set_frames(result_.rows);
  manifest.set_frames_received(writer_->rows());
  manifest.set_dimension(writer_->dimension());
  manifest.set_metric(std::string(MetricName(checked_.metric)));
  manifest.set_storage(result_.storage == ElementType::kFloat16 ? "float16"
                                                                : "float32");
  manifest.set_index_factory(ToString(result_.spec));
  manifest.set_default_k(kMeasuredK);
  SetTuning(result_.tuning, manifest);
  *manifest.mutable_labels() = options_.labels();
  for (const std::string& warning : result_.warnings) {
    manifest.add_warnings(warning);
  }
  manifest.set_request_id(options_.request_id());
  manifest.set_keep_inactive(options_.keep_inactive());
  manifest.set_seed(options_.seed());
  manifest.set_base_version(options_.base_version());
  manifest.set_database_expansion_k(options_.database_expansion_k());
  if (options_.database_expansion_k() != 0) {
    manifest.set_database_expansion_alpha(ExpansionAlpha());
  }
  manifest.mutable_create_time()->set_seconds(absl::ToUnixSeconds(absl::Now()));
  return context_.catalog->Publish(*staging_, std::move(manifest), cancelled);
}

}  // namespace timbre
