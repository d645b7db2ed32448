#include "server/service/contract/version_message.h"

#include "absl/strings/str_cat.h"
#include "server/service/contract/frame_codec.h"

namespace timbre {
namespace {

v1::Metric EncodeMetric(Metric metric) {
  switch (metric) {
    case Metric::kInnerProduct:
      return v1::METRIC_INNER_PRODUCT;
    case Metric::kCosine:
      return v1::METRIC_COSINE;
    default:
      return v1::METRIC_L2;
  }
}

// What the defaults were to reach, if they do not.
void WarnOfTarget(const Tuning& tuning, v1::SpeakerVersion& message) {
  if (tuning.curve.empty()) return;
  const OperatingPoint& best = tuning.curve.back();
  if (best.recall >= tuning.target_recall) return;
  message.add_warnings(absl::StrCat(
      "target_recall ", tuning.target_recall,
      " was not reached; the best that was measured is ", best.recall,
      ", with nprobe ", best.nprobe, " and k_factor ", best.k_factor));
}

void FillFromRecord(const VersionRecord& record, v1::SpeakerVersion& message) {
  const storage::Manifest& manifest = record.manifest;
  message.set_frames(manifest.frames());
  message.set_frames_received(manifest.frames_received());
  message.set_dimension(manifest.dimension());
  message.set_metric(EncodeMetric(record.metric));
  message.set_storage(EncodeElementType(record.storage));
  message.set_index_factory(manifest.index_factory());
  *message.mutable_create_time() = manifest.create_time();
  message.set_bytes_on_disk(record.bytes_on_disk());
  v1::SearchParams& defaults = *message.mutable_defaults();
  defaults.set_k(manifest.default_k());
  defaults.set_nprobe(record.tuning.nprobe);
  defaults.set_k_factor(record.tuning.k_factor);
  for (const OperatingPoint& point : record.tuning.curve) {
    FillPoint(point, *message.add_operating_points());
  }
  *message.mutable_labels() = manifest.labels();
  *message.mutable_warnings() = manifest.warnings();
  for (const std::string& warning : record.warnings) {
    message.add_warnings(warning);
  }
  WarnOfTarget(record.tuning, message);
  message.set_digest(manifest.digest());
}

}  // namespace

void FillPoint(const OperatingPoint& point, v1::OperatingPoint& message) {
  message.set_nprobe(point.nprobe);
  message.set_k_factor(point.k_factor);
  message.set_recall(point.recall);
  message.set_blend_error(point.blend_error);
  message.set_microseconds_per_frame(point.microseconds_per_frame);
}

void FillVersion(const VersionInfo& info, v1::SpeakerVersion& message) {
  message.set_version(info.version);
  if (info.record != nullptr) FillFromRecord(*info.record, message);
  message.set_active(info.active);
  message.set_loaded(info.loaded);
  if (!info.damage.ok()) {
    message.add_warnings(absl::StrCat(
        absl::IsDataLoss(info.damage) ? "damaged: " : "cannot be read now: ",
        info.damage.message()));
  }
  if (!info.fits.ok()) {
    message.add_warnings(
        absl::StrCat("cannot be opened: ", info.fits.message()));
  }
}

void FillSpeaker(const SpeakerInfo& info, v1::Speaker& message) {
  message.set_speaker(info.speaker);
  message.set_active_version(info.active_version);
  for (const VersionInfo& version : info.versions) {
    FillVersion(version, *message.add_versions());
  }
}

}  // namespace timbre
