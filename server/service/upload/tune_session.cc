#include "server/service/upload/tune_session.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/catalog/open/voice_opener.h"
#include "server/engine/tune/tuning_queries.h"
#include "server/service/contract/speaker_metadata.h"
#include "server/service/contract/tune_request.h"
#include "server/service/contract/version_message.h"
#include "server/service/upload/disk_limit.h"

namespace timbre {

absl::Status TuneSession::Accept(const v1::TuneRequest& request,
                                 absl::string_view speaker_metadata,
                                 const std::function<bool()>& cancelled) {
  if (lease_ == nullptr) {
    first_ = request;
    first_.clear_frames();
    TIMBRE_RETURN_IF_ERROR(AcceptFirst(speaker_metadata, cancelled));
  } else {
    TIMBRE_RETURN_IF_ERROR(CheckLaterTuneRequest(request, first_));
  }
  return AcceptFrames(request.frames());
}

absl::Status TuneSession::AcceptFirst(absl::string_view speaker_metadata,
                                      const std::function<bool()>& cancelled) {
  TIMBRE_RETURN_IF_ERROR(CheckFirstTuneRequest(first_));
  TIMBRE_RETURN_IF_ERROR(
      CheckSpeakerMetadata(speaker_metadata, first_.speaker()));
  TIMBRE_ASSIGN_OR_RETURN(
      lease_, context_.opener->OpenNow({first_.speaker(), first_.version()},
                                       cancelled));
  TIMBRE_ASSIGN_OR_RETURN(staging_, context_.catalog->Stage(first_.speaker()));
  TIMBRE_ASSIGN_OR_RETURN(
      writer_,
      FrameWriter::Create(absl::StrCat(staging_->directory(), "/queries.npy"),
                          ElementType::kFloat32, lease_->index->dimension(),
                          false, *context_.kernels, staging_->files()));
  return absl::OkStatus();
}

absl::Status TuneSession::AcceptFrames(const v1::Frames& frames) {
  TIMBRE_RETURN_IF_ERROR(DecodeFrames(frames, lease_->index->dimension(),
                                      *context_.kernels, batch_));
  const uint64_t rows = writer_->rows() + batch_.rows;
  if (rows > kMaxQueries) {
    return InvalidField("frames", absl::StrCat(rows, " frames"),
                        absl::StrCat("1..", kMaxQueries, " in all"));
  }
  TIMBRE_RETURN_IF_ERROR(
      CheckFreeDisk(context_, batch_.data.size() * sizeof(float)));
  context_.metrics->AddFrames(Rpc::kTune, batch_.rows);
  return writer_->Append(batch_.data.data(), batch_.rows);
}

absl::Status TuneSession::CheckComplete() const {
  if (lease_ == nullptr) {
    return InvalidField("speaker", "nothing", "sent in the first request");
  }
  if (writer_->rows() > 0) return absl::OkStatus();
  return InvalidField("frames", "none",
                      absl::StrCat("1..", kMaxQueries, " in all"));
}

TuningGoal TuneSession::Goal() const {
  TuningGoal goal;
  if (first_.k() != 0) goal.k = first_.k();
  if (first_.target_recall() != 0) goal.target_recall = first_.target_recall();
  return goal;
}

absl::Status TuneSession::Measure(BuildObserver& observer) {
  batch_ = {};
  TIMBRE_RETURN_IF_ERROR(writer_->Finish());
  const SpeakerIndex& index = *lease_->index;
  TIMBRE_ASSIGN_OR_RETURN(
      const FrameStore queries,
      FrameStore::Open(writer_->path(), ElementType::kFloat32, writer_->rows(),
                       index.dimension(), *context_.kernels,
                       staging_->files()));
  const std::vector<float> frames =
      EvenlySpread(queries, MostMeasured(Goal().k));
  TIMBRE_RETURN_IF_ERROR(queries.Check());
  queries_ = frames.size() / index.dimension();
  BuildTeam team(context_.build_limits.threads, observer);
  TIMBRE_ASSIGN_OR_RETURN(measured_,
                          MeasureCurve(index, {frames, {}}, Goal(), team));
  return absl::OkStatus();
}

absl::StatusOr<v1::TuneResponse> TuneSession::Apply() {
  // Given back before the client knows: it may want the room.
  const Lease lease = std::move(lease_);
  const Tuning tuning = TuningFor(measured_.curve, Goal().target_recall);
  if (first_.apply()) {
    TIMBRE_RETURN_IF_ERROR(context_.catalog->ApplyTuning(lease, tuning));
    Log(LogLevel::kInfo, "version_tuned",
        {{"speaker", first_.speaker()},
         {"version", lease->record->manifest.version()},
         {"nprobe", tuning.nprobe},
         {"k_factor", absl::StrCat(tuning.k_factor)},
         {"recall",
          absl::StrCat(
              ChoosePoint(tuning.curve, tuning.target_recall).recall)}});
  }
  v1::TuneResponse response;
  for (const OperatingPoint& point : tuning.curve) {
    FillPoint(point, *response.add_operating_points());
  }
  v1::SearchParams& chosen = *response.mutable_chosen();
  chosen.set_k(Goal().k);
  chosen.set_nprobe(tuning.nprobe);
  chosen.set_k_factor(tuning.k_factor);
  chosen.set_target_recall(
      ChoosePoint(tuning.curve, tuning.target_recall).recall);
  FillPoint(measured_.exact, *response.mutable_exact());
  if (measured_.one_list) {
    FillPoint(*measured_.one_list, *response.mutable_one_list());
  }
  response.set_version(lease->record->manifest.version());
  response.set_frames(queries_);
  return response;
}

}  // namespace timbre
