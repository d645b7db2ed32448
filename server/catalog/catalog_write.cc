// What changes a voice that is there.
#include <utility>

#include "server/base/status_macros.h"
#include "server/catalog/catalog.h"
#include "server/catalog/records/voice_errors.h"

namespace timbre {

absl::StatusOr<SpeakerInfo> Catalog::ActivateVersion(const std::string& speaker,
                                                     uint64_t version) {
  // Opened first: a damaged version must not become active. `lease` also
  // keeps it open until Adopt has taken it over.
  MemoryBudget::Visit visit(budget());  // no stream: it refuses nobody
  TIMBRE_ASSIGN_OR_RETURN(const Lease lease,
                          AcquireForSure({speaker, version}, visit));
  return Write(speaker, &Catalog::ActivateVersionOf, version);
}

absl::StatusOr<SpeakerInfo> Catalog::ActivateVersionOf(SpeakerEntry& speaker,
                                                       uint64_t version) {
  TIMBRE_RETURN_IF_ERROR(Resolve(speaker, version).status());
  const absl::Status activated = speaker.voice->Activate(version);
  Adopt(speaker, {});
  TIMBRE_RETURN_IF_ERROR(activated);
  return DescribeAll(speaker);
}

absl::StatusOr<SpeakerInfo> Catalog::DeleteVersion(const std::string& speaker,
                                                   uint64_t version) {
  return Write(speaker, &Catalog::DeleteVersionOf, version);
}

absl::StatusOr<SpeakerInfo> Catalog::DeleteVersionOf(SpeakerEntry& speaker,
                                                     uint64_t version) {
  TIMBRE_ASSIGN_OR_RETURN(const VersionEntry found, Resolve(speaker, version));
  if (speaker.voice->View().active_version == found.number) {
    return VersionActive(speaker.name, version);
  }
  const absl::Status deleted = speaker.voice->Delete(version);
  Adopt(speaker, {});
  TIMBRE_RETURN_IF_ERROR(deleted);
  // Of the last one nothing is left to be described.
  return Describe(speaker, false);
}

absl::Status Catalog::DeleteSpeaker(const std::string& speaker) {
  return Write(speaker, &Catalog::DeleteAllOf);
}

absl::Status Catalog::DeleteAllOf(SpeakerEntry& speaker) {
  {
    const MutexLock lock(speaker.mutex);
    if (speaker.versions.empty()) return NoSpeaker(speaker.name);
  }
  const VoiceView before = speaker.voice->View();
  const absl::Status deleted = speaker.voice->DeleteAll();
  Adopt(speaker, {});
  if (deleted.ok()) speaker.voice->RemoveFiles(before.versions);
  return deleted;
}

absl::Status Catalog::ApplyTuning(const Lease& lease, const Tuning& tuning) {
  return Write(lease->record->manifest.speaker(), &Catalog::ApplyTuningTo,
               lease, tuning);
}

absl::Status Catalog::ApplyTuningTo(SpeakerEntry& speaker, const Lease& lease,
                                    const Tuning& tuning) {
  const auto version = Resolve(speaker, lease->record->manifest.version());
  if (!version.ok()) {
    return VersionDeleted(speaker.name, lease->record->manifest.version());
  }
  TIMBRE_RETURN_IF_ERROR(speaker.voice->Settle());
  auto record = std::make_shared<VersionRecord>(*lease->record);
  record->tuning = tuning;
  record->warnings.clear();
  return version->life->ReplaceRecord(std::move(record), [&] {
    return speaker.voice->ApplyTuning(version->number, tuning);
  });
}

}  // namespace timbre
