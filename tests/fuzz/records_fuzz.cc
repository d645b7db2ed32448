// manifest.json, tuning.json and state.json with anything in them: refused, or
// in range, and written again the same.
#include <google/protobuf/util/json_util.h>

#include <cmath>
#include <optional>
#include <vector>

#include "server/catalog/records/file_names.h"
#include "server/catalog/records/version_record.h"
#include "server/catalog/store/recovery.h"
#include "tests/fuzz/fuzzing.h"
#include "tests/fuzz/refusals.h"

namespace timbre::fuzz {
namespace {

void RequireDamage(const absl::Status& status) {
  if (status.code() == absl::StatusCode::kFailedPrecondition) {
    RequireReason(status, status.code(), "NEWER_FORMAT");
  } else {
    RequireReason(status, absl::StatusCode::kDataLoss, "FILE_CORRUPT");
  }
}

void CheckTuning(const Tuning& tuning, const IndexSpec& spec) {
  const uint32_t lists = std::max(1U, spec.nlist);
  const auto check = [&](uint32_t nprobe, float k_factor) {
    Require(nprobe >= 1 && nprobe <= lists, "nprobe is in range");
    Require(k_factor >= 1 && k_factor <= 1000, "k_factor is in range");
  };
  check(tuning.nprobe, tuning.k_factor);
  Require(tuning.target_recall >= 0 && tuning.target_recall <= 1,
          "target_recall is in range");
  for (const OperatingPoint& point : tuning.curve) {
    check(point.nprobe, point.k_factor);
    Require(point.recall >= 0 && point.recall <= 1, "recall is in range");
    Require(point.blend_error >= 0 && std::isfinite(point.blend_error) &&
                point.microseconds_per_frame >= 0 &&
                std::isfinite(point.microseconds_per_frame),
            "what was measured are numbers");
  }
}

void CheckRecord(const VersionRecord& record) {
  const storage::Manifest& manifest = record.manifest;
  Require(manifest.frames() >= 1 && manifest.frames() <= UINT32_MAX &&
              manifest.dimension() >= kMinDimension &&
              manifest.dimension() <= kMaxDimension,
          "shapes are in range");
  Require(record.spec.nlist <= manifest.frames() &&
              CheckDimension(record.spec, manifest.dimension()).ok(),
          "an index fits its frames");
  Require(manifest.default_k() >= 1 && manifest.default_k() <= 1024,
          "k is in range");
  CheckTuning(record.tuning, record.spec);
  for (const auto& file : manifest.files()) {
    Require(file.name().find('/') == std::string::npos,
            "files are in the version's directory", file.name());
  }
}

std::string ToJson(const google::protobuf::Message& message) {
  std::string text;
  Require(google::protobuf::util::MessageToJsonString(message, &text).ok(),
          "records can be written");
  return text;
}

void Tunings(const std::string& json, const IndexSpec& spec) {
  const auto tuning = ParseTuning(json, spec, kTuningFile);
  if (!tuning.ok()) return RequireDamage(tuning.status());
  CheckTuning(*tuning, spec);
  // As the manifest of a version has it, too.
  storage::Manifest manifest;
  SetTuning(*tuning, manifest);
  manifest.set_format(1);
  const auto again = ParseTuning(ToJson(manifest), spec, kTuningFile);
  Require(again.ok() && *again == *tuning, "tunings survive the round trip",
          again.status().ToString());
}

// A manifest, and a tuning of its index. With `mend` the digest is right,
// whatever was changed.
void Manifests(Bytes& bytes, bool mend) {
  auto manifest = ManifestFromJson(bytes.Piece(), kManifestFile);
  if (!manifest.ok()) return RequireDamage(manifest.status());
  if (mend) manifest->set_digest(DigestOfFiles(*manifest));
  const auto record = ParseManifest(*manifest);
  if (!record.ok()) return RequireDamage(record.status());
  CheckRecord(*record);
  const auto parsed = ManifestFromJson(ToJson(record->manifest), kManifestFile);
  Require(parsed.ok(), "a manifest can be read again",
          parsed.status().ToString());
  const auto again = ParseManifest(*parsed);
  Require(again.ok() && again->tuning == record->tuning &&
              again->spec == record->spec,
          "manifests survive the round trip", again.status().ToString());
  Tunings(bytes.Rest(), record->spec);
}

std::vector<FoundVersion> Found(Bytes& bytes) {
  std::vector<FoundVersion> found;
  uint64_t version = 0;
  for (size_t count = bytes.Number(0, 6); count > 0; --count) {
    const auto flags = bytes.Take<uint8_t>();
    // Directories' names go through ParseVersion.
    const auto name = std::to_string(
        version + 1 +
        (flags >= 128 ? bytes.Take<uint64_t>() : uint64_t{flags} / 16));
    const auto parsed = ParseVersion(name);
    if (!parsed || *parsed <= version) break;
    version = *parsed;
    found.push_back({version, (flags & 1) != 0, (flags & 2) != 0});
  }
  return found;
}

void CheckPlan(const RecoveryPlan& plan,
               const std::vector<FoundVersion>& found) {
  const storage::SpeakerState& state = plan.state;
  Require(state.last_version() + 1 != 0 &&
              state.last_version() + 1 > state.deleted_through(),
          "the next version is no garbage");
  Require(state.active_version() <= state.last_version(),
          "what is active was published");
  bool active = state.active_version() == 0;
  for (const FoundVersion& version : found) {
    const bool garbage = std::find(plan.garbage.begin(), plan.garbage.end(),
                                   version.version) != plan.garbage.end();
    Require(garbage == (version.version <= state.deleted_through()),
            "what was deleted is garbage, nothing else");
    Require(version.version <= state.last_version(),
            "a version's number is not given again");
    active = active || (!garbage && version.version == state.active_version());
  }
  Require(active, "what is active is there");
}

void States(Bytes& bytes) {
  const std::vector<FoundVersion> found = Found(bytes);
  const auto state = ParseSpeakerState(bytes.Rest(), kStateFile);
  if (!state.ok()) {
    RequireDamage(state.status());
    if (state.status().code() == absl::StatusCode::kDataLoss) {
      CheckPlan(PlanRecovery(std::nullopt, found), found);
    }
    return;
  }
  const RecoveryPlan plan = PlanRecovery(*state, found);
  CheckPlan(plan, found);
  storage::SpeakerState written = plan.state;
  written.set_format(1);
  const auto again = ParseSpeakerState(ToJson(written), kStateFile);
  Require(again.ok(), "a state can be read again", again.status().ToString());
  const RecoveryPlan second = PlanRecovery(*again, found);
  Require(!second.write_state && second.garbage == plan.garbage,
          "a second recovery changes nothing");
}

}  // namespace
}  // namespace timbre::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  timbre::fuzz::Bytes bytes(data, size);
  switch (bytes.Take<uint8_t>() % 3) {
    case 0:
      timbre::fuzz::Manifests(bytes, false);
      break;
    case 1:
      timbre::fuzz::Manifests(bytes, true);
      break;
    default:
      timbre::fuzz::States(bytes);
      break;
  }
  return 0;
}
