#include "server/catalog/records/version_record.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/checksum.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/catalog/records/file_names.h"

namespace timbre {
namespace {

constexpr uint32_t kFormat = 1;
constexpr uint32_t kMaxDefaultK = 1024;
constexpr float kMaxDefaultKFactor = 1000;
// Far above what labels, warnings and a curve take.
constexpr uint64_t kMaxDocumentBytes = 16 << 20;

absl::Status Damaged(absl::string_view path, absl::string_view what) {
  return MakeError(absl::StatusCode::kDataLoss, "FILE_CORRUPT",
                   absl::StrCat(path, ": ", what));
}

// Missing, or larger than what Timbre writes, is damaged.
absl::StatusOr<std::string> ReadDocument(const std::string& path,
                                         FileSystem& files) {
  auto text = ReadFile(path, files, kMaxDocumentBytes);
  if (absl::IsNotFound(text.status()) ||
      absl::IsFailedPrecondition(text.status())) {
    return Damaged(path, text.status().message());
  }
  return text;
}

template <typename Message>
absl::StatusOr<Message> ParseJson(absl::string_view text,
                                  absl::string_view path) {
  Message message;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;  // a newer server may have been here
  const auto status = google::protobuf::util::JsonStringToMessage(
      std::string(text), &message, options);
  if (!status.ok()) return Damaged(path, "is not the JSON that was written");
  if (message.format() > kFormat) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "NEWER_FORMAT",
                     absl::StrCat(path, ": has format ", message.format(),
                                  "; this server reads ", kFormat));
  }
  if (message.format() != kFormat) {
    return Damaged(path, absl::StrCat("has format ", message.format(),
                                      "; this server reads ", kFormat));
  }
  return message;
}

template <typename Message>
absl::StatusOr<std::string> ToJson(const Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  std::string text;
  Message copy = message;
  copy.set_format(kFormat);
  const auto status =
      google::protobuf::util::MessageToJsonString(copy, &text, options);
  if (!status.ok()) return absl::InternalError(status.ToString());
  return text;
}

bool ParseMetric(absl::string_view name, Metric* metric) {
  for (const Metric m : {Metric::kL2, Metric::kInnerProduct, Metric::kCosine}) {
    if (MetricName(m) == name) {
      *metric = m;
      return true;
    }
  }
  return false;
}

const storage::StoredFile* FindFile(const storage::Manifest& manifest,
                                    absl::string_view name) {
  for (const auto& file : manifest.files()) {
    if (file.name() == name) return &file;
  }
  return nullptr;
}

// Of a state that is not, the next version's number would be one that is used
// already, or garbage for the next start.
bool IsPossible(const storage::SpeakerState& state) {
  return state.last_version() <= kMaxVersion &&
         state.active_version() <= state.last_version() &&
         state.deleted_through() <= state.last_version();
}

// What a JSON text calls "NaN" and "Infinity" is no measurement.
bool IsAmount(float x) { return x >= 0 && std::isfinite(x); }
bool IsShare(float x) { return x >= 0 && x <= 1; }

// The fields that Manifest and Tuning have in common. False if they are nothing
// that tuning makes; written so that NaN is not.
template <typename Message>
bool ReadTuning(const Message& message, const IndexSpec& spec, Tuning& tuning) {
  const uint32_t most = std::max(1U, spec.nlist);
  const auto good = [&](uint32_t nprobe, float k_factor) {
    return nprobe >= 1 && nprobe <= most && k_factor >= 1 &&
           k_factor <= kMaxDefaultKFactor;
  };
  tuning = {.nprobe = message.default_nprobe(),
            .k_factor = message.default_k_factor(),
            .target_recall = message.target_recall(),
            .curve = {}};
  for (const auto& point : message.operating_points()) {
    if (!good(point.nprobe(), point.k_factor()) || !IsShare(point.recall()) ||
        !IsAmount(point.blend_error()) ||
        !IsAmount(point.microseconds_per_frame())) {
      return false;
    }
    tuning.curve.push_back(
        {.nprobe = point.nprobe(),
         .k_factor = point.k_factor(),
         .recall = point.recall(),
         .blend_error = point.blend_error(),
         .microseconds_per_frame = point.microseconds_per_frame()});
  }
  return good(tuning.nprobe, tuning.k_factor) && IsShare(tuning.target_recall);
}

template <typename Message>
void FillTuning(const Tuning& tuning, Message& message) {
  message.set_default_nprobe(tuning.nprobe);
  message.set_default_k_factor(tuning.k_factor);
  message.set_target_recall(tuning.target_recall);
  message.clear_operating_points();
  for (const OperatingPoint& point : tuning.curve) {
    storage::MeasuredPoint& stored = *message.add_operating_points();
    stored.set_nprobe(point.nprobe);
    stored.set_k_factor(point.k_factor);
    stored.set_recall(point.recall);
    stored.set_blend_error(point.blend_error);
    stored.set_microseconds_per_frame(point.microseconds_per_frame);
  }
}

// What a Tune has applied, if one has.
absl::Status ReadAppliedTuning(const std::string& directory, FileSystem& files,
                               VersionRecord& record) {
  const std::string path = absl::StrCat(directory, "/", kTuningFile);
  const auto text = ReadFile(path, files, kMaxDocumentBytes);
  if (absl::IsNotFound(text.status())) return absl::OkStatus();
  absl::StatusOr<Tuning> tuning =
      text.ok() ? ParseTuning(*text, record.spec, path) : text.status();
  if (tuning.ok()) {
    record.tuning = *std::move(tuning);
    return absl::OkStatus();
  }
  // Unreadable for now: the defaults from before would be taken for those that
  // hold.
  if (!absl::IsDataLoss(tuning.status()) &&
      !absl::IsFailedPrecondition(tuning.status())) {
    return tuning.status();
  }
  record.warnings.push_back(absl::StrCat(
      kTuningFile, " is not used (", tuning.status().message(),
      "): the defaults are those that Build chose; tune the version once "
      "more"));
  return absl::OkStatus();
}

// Sizes as the manifest says.
absl::Status CheckFiles(const std::string& directory,
                        const storage::Manifest& manifest, FileSystem& files) {
  for (const auto& file : manifest.files()) {
    const std::string name = absl::StrCat(directory, "/", file.name());
    const auto size = FileSize(name, files);
    if (absl::IsNotFound(size.status())) {
      return Damaged(name, size.status().message());
    }
    TIMBRE_RETURN_IF_ERROR(size.status());
    if (*size != file.bytes()) {
      return Damaged(
          name, absl::StrCat("has ", *size, " bytes; expected ", file.bytes()));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<storage::Manifest> ManifestFromJson(absl::string_view json,
                                                   absl::string_view path) {
  return ParseJson<storage::Manifest>(json, path);
}

absl::StatusOr<storage::SpeakerState> ParseSpeakerState(
    absl::string_view json, absl::string_view path) {
  TIMBRE_ASSIGN_OR_RETURN(storage::SpeakerState state,
                          ParseJson<storage::SpeakerState>(json, path));
  if (IsPossible(state)) return state;
  return Damaged(path, "counts versions as Timbre never does");
}

absl::StatusOr<Tuning> ParseTuning(absl::string_view json,
                                   const IndexSpec& spec,
                                   absl::string_view path) {
  TIMBRE_ASSIGN_OR_RETURN(const storage::Tuning stored,
                          ParseJson<storage::Tuning>(json, path));
  Tuning tuning;
  if (ReadTuning(stored, spec, tuning)) return tuning;
  return Damaged(path, "it holds no tuning of this index");
}

uint64_t VersionRecord::bytes_on_disk() const {
  uint64_t bytes = 0;
  for (const auto& file : manifest.files()) bytes += file.bytes();
  return bytes;
}

uint64_t VersionRecord::resident_bytes() const {
  return sizeof(*this) + manifest.SpaceUsedLong() +
         tuning.curve.capacity() * sizeof(OperatingPoint);
}

IndexDescription VersionRecord::Describe(const std::string& directory,
                                         FileSystem& files) const {
  return {.spec = spec,
          .metric = metric,
          .storage = storage,
          .rows = manifest.frames(),
          .dimension = manifest.dimension(),
          .frames_path = FilePath(directory, kFramesFile),
          .index_path = FilePath(directory, kIndexFile),
          .index_digest = FindFile(manifest, kIndexFile)->digest(),
          .files = &files};
}

std::string DigestOfFiles(const storage::Manifest& manifest) {
  std::string lines;
  for (const auto& file : manifest.files()) {
    absl::StrAppend(&lines, file.name(), " ", file.digest(), "\n");
  }
  return DigestOf(lines);
}

absl::StatusOr<VersionRecord> ParseManifest(storage::Manifest manifest) {
  VersionRecord record;
  const auto spec = ParseIndexSpec(manifest.index_factory());
  const bool half = manifest.storage() == "float16";
  // Conditions are written so that NaN fails them.
  const bool good =
      spec.ok() && ParseMetric(manifest.metric(), &record.metric) &&
      (half || manifest.storage() == "float32") && manifest.frames() >= 1 &&
      manifest.frames() <= kMaxRows && manifest.dimension() >= kMinDimension &&
      manifest.dimension() <= kMaxDimension &&
      CheckDimension(*spec, manifest.dimension()).ok() &&
      spec->nlist <= manifest.frames() && manifest.default_k() >= 1 &&
      manifest.default_k() <= kMaxDefaultK &&
      ReadTuning(manifest, *spec, record.tuning) &&
      FindFile(manifest, kFramesFile) != nullptr &&
      FindFile(manifest, kIndexFile) != nullptr &&
      std::none_of(manifest.files().begin(), manifest.files().end(),
                   [](const auto& file) {
                     return absl::StrContains(file.name(), '/');
                   }) &&
      manifest.digest() == DigestOfFiles(manifest);
  if (!good) {
    return Damaged(kManifestFile, "describes no version that Timbre writes");
  }
  record.spec = *spec;
  record.storage = half ? ElementType::kFloat16 : ElementType::kFloat32;
  record.manifest = std::move(manifest);
  return record;
}

void SetTuning(const Tuning& tuning, storage::Manifest& manifest) {
  FillTuning(tuning, manifest);
}

absl::StatusOr<VersionRecord> ReadVersionRecord(const std::string& directory,
                                                const std::string& speaker,
                                                uint64_t version,
                                                FileSystem& files) {
  const std::string path = absl::StrCat(directory, "/", kManifestFile);
  TIMBRE_ASSIGN_OR_RETURN(const std::string text, ReadDocument(path, files));
  TIMBRE_ASSIGN_OR_RETURN(storage::Manifest manifest,
                          ManifestFromJson(text, path));
  if (manifest.speaker() != speaker || manifest.version() != version) {
    return Damaged(path, absl::StrCat("is of ", Printable(manifest.speaker()),
                                      " version ", manifest.version()));
  }
  TIMBRE_ASSIGN_OR_RETURN(VersionRecord record,
                          ParseManifest(std::move(manifest)));
  TIMBRE_RETURN_IF_ERROR(CheckFiles(directory, record.manifest, files));
  TIMBRE_RETURN_IF_ERROR(ReadAppliedTuning(directory, files, record));
  return record;
}

absl::Status WriteManifest(const std::string& directory,
                           const storage::Manifest& manifest,
                           FileSystem& files) {
  TIMBRE_ASSIGN_OR_RETURN(const std::string text, ToJson(manifest));
  TIMBRE_RETURN_IF_ERROR(
      WriteNewFile(absl::StrCat(directory, "/", kManifestFile), text, files));
  return files.SyncDirectory(directory);
}

absl::StatusOr<Replacement> PrepareTuning(
    const std::string& directory, const Tuning& tuning, FileSystem& files,
    const std::string& temporary_directory) {
  storage::Tuning message;
  FillTuning(tuning, message);
  TIMBRE_ASSIGN_OR_RETURN(const std::string text, ToJson(message));
  return Replacement::Prepare(absl::StrCat(directory, "/", kTuningFile), text,
                              files, temporary_directory);
}

absl::StatusOr<storage::SpeakerState> ReadSpeakerState(const std::string& path,
                                                       FileSystem& files) {
  TIMBRE_ASSIGN_OR_RETURN(const std::string text, ReadDocument(path, files));
  return ParseSpeakerState(text, path);
}

absl::StatusOr<Replacement> PrepareSpeakerState(
    const std::string& path, const storage::SpeakerState& state,
    FileSystem& files, const std::string& temporary_directory) {
  TIMBRE_ASSIGN_OR_RETURN(const std::string text, ToJson(state));
  return Replacement::Prepare(path, text, files, temporary_directory);
}

}  // namespace timbre
