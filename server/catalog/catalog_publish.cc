// How a staged version becomes a published one.
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/checksum.h"
#include "server/base/errors.h"
#include "server/base/file_system.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/catalog/catalog.h"
#include "server/catalog/records/file_names.h"
#include "server/catalog/records/retention.h"
#include "server/catalog/records/voice_errors.h"

namespace timbre {
namespace {

absl::Status AddFile(const std::string& directory, const char* name,
                     FileSystem& files, storage::Manifest& manifest) {
  const std::string path = FilePath(directory, name);
  storage::StoredFile& file = *manifest.add_files();
  file.set_name(name);
  TIMBRE_ASSIGN_OR_RETURN(const uint64_t bytes, FileSize(path, files));
  file.set_bytes(bytes);
  TIMBRE_ASSIGN_OR_RETURN(*file.mutable_digest(), DigestOfFile(path, files));
  return absl::OkStatus();
}

// A stored frame must find a neighbour with the default settings.
absl::Status CheckAnswers(const SpeakerIndex& index, uint32_t nprobe) {
  const SearchSettings settings{.k = 1, .nprobe = nprobe, .candidates = 32};
  SearchScratch scratch;
  std::vector<float> row(index.dimension());
  const uint64_t probes[] = {0, index.rows() / 2, index.rows() - 1};
  for (const uint64_t id : probes) {
    int64_t nearest = -1;
    float distance = 0;
    TIMBRE_RETURN_IF_ERROR(index.Search(index.store().Row(id, row.data()), 1,
                                        settings, scratch, &nearest,
                                        &distance));
    if (nearest < 0) {
      return absl::InternalError("the new index does not find its own frames");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Staging>> Catalog::Stage(
    const std::string& speaker) {
  // A voice whose directory cannot be read may have versions: publishing beside
  // them could give a number twice.
  const auto entry = Known(speaker);
  if (!entry.ok() && !absl::IsNotFound(entry.status())) return entry.status();
  uint64_t generation = 0;
  if (entry.ok()) {
    const MutexLock lock((*entry)->mutex);
    generation = (*entry)->generation;
  }
  return Staging::Create(options_.data_dir, speaker, generation, files());
}

absl::StatusOr<VersionInfo> Catalog::Publish(
    Staging& staging, storage::Manifest manifest,
    const std::function<bool()>& cancelled) {
  const SpeakerPtr speaker = FindOrAdd(staging.speaker());
  const auto life = std::make_shared<VersionLife>(speaker->open);
  TIMBRE_ASSIGN_OR_RETURN(Verified verified, Verify(staging, life, manifest));
  auto published = PublishVerified(staging, std::move(manifest), speaker, life,
                                   std::move(verified), cancelled);
  UpdateListed(speaker);
  return published;
}

absl::StatusOr<Catalog::Verified> Catalog::Verify(const Staging& staging,
                                                  const LifePtr& life,
                                                  storage::Manifest& manifest) {
  for (const char* const name : {kFramesFile, kIndexFile}) {
    TIMBRE_RETURN_IF_ERROR(
        AddFile(staging.directory(), name, files(), manifest));
  }
  manifest.set_digest(DigestOfFiles(manifest));
  TIMBRE_ASSIGN_OR_RETURN(const VersionRecord record, ParseManifest(manifest));
  const IndexDescription description =
      record.Describe(staging.directory(), files());
  Verified verified;
  verified.charge =
      open_->budget->ReserveForSure({.version = life, .room = RoomOf(record)});
  TIMBRE_ASSIGN_OR_RETURN(verified.index,
                          SpeakerIndex::Open(description, *options_.kernels));
  TIMBRE_RETURN_IF_ERROR(
      CheckAnswers(*verified.index, manifest.default_nprobe()));
  return verified;
}

absl::StatusOr<VersionInfo> Catalog::PublishVerified(
    Staging& staging, storage::Manifest manifest, const SpeakerPtr& speaker,
    const LifePtr& life, Verified verified,
    const std::function<bool()>& cancelled) {
  const MutexLock writing(speaker->write_mutex);
  {
    const MutexLock lock(speaker->mutex);
    if (speaker->generation != staging.generation()) {
      return SpeakerDeleted(speaker->name);
    }
  }
  TIMBRE_ASSIGN_OR_RETURN(std::optional<VersionInfo> earlier,
                          FindPublished(*speaker, manifest.request_id()));
  if (earlier) {
    TIMBRE_RETURN_IF_ERROR(Settle(*speaker));
    return *std::move(earlier);
  }
  VersionEntry version{.life = life};
  {
    const MutexLock lock(speaker->mutex);
    version.number = ++speaker->reserved;
  }
  manifest.set_speaker(speaker->name);
  manifest.set_version(version.number);
  TIMBRE_RETURN_IF_ERROR(WriteManifest(staging.directory(), manifest, files()));
  TIMBRE_ASSIGN_OR_RETURN(VersionRecord record, ParseManifest(manifest));
  // Until Adopt decides whether it stays open. No stream: it refuses nobody.
  MemoryBudget::Visit visit(budget());
  const Lease lease =
      life->Publish({std::make_shared<const VersionRecord>(std::move(record)),
                     std::move(verified.index)},
                    std::move(verified.charge), visit);
  if (cancelled()) return absl::CancelledError("the build was cancelled");
  TIMBRE_RETURN_IF_ERROR(Commit(*speaker, version, manifest, staging));
  DropOldVersions(*speaker);
  bool active = false;
  {
    const MutexLock lock(speaker->mutex);
    active = speaker->state.active_version() == version.number;
  }
  return DescribeVersion(*speaker, version, active);
}

absl::Status Catalog::Commit(SpeakerEntry& speaker, const VersionEntry& version,
                             const storage::Manifest& manifest,
                             Staging& staging) {
  storage::SpeakerState state = speaker.State();
  state.set_last_version(version.number);
  if (!manifest.keep_inactive()) state.set_active_version(version.number);
  const std::string directory =
      VersionDir(options_.data_dir, speaker.name, version.number);
  // Whatever can be done before is: a full disk is found here.
  TIMBRE_ASSIGN_OR_RETURN(
      Replacement replacement,
      PrepareSpeakerState(StatePath(options_.data_dir, speaker.name), state,
                          files(), StagingDir(options_.data_dir)));
  absl::Status status = MakeSpeakerDir(speaker);
  if (status.ok()) {
    status = files().Rename(staging.directory(), directory);
  }
  if (!status.ok()) {
    DropSpeakerDir(speaker);
    return status;
  }
  // From here on a start would complete the publication.
  staging.Published();
  status = files().SyncDirectory(ParentOf(directory));
  if (status.ok())
    status = files().SyncDirectory(ParentOf(staging.directory()));
  if (status.ok()) status = replacement.Commit();
  if (!status.ok() && !absl::IsUnknown(status)) {
    if (Withdraw(speaker, version, staging)) return status;
    status = OutcomeUnknown(status);
  }
  Adopt(speaker, state, version, status.ok());
  return status;
}

absl::Status Catalog::MakeSpeakerDir(const SpeakerEntry& speaker) {
  if (speaker.State().last_version() != 0) return absl::OkStatus();
  const std::string directory = SpeakerDir(options_.data_dir, speaker.name);
  // One that an earlier publication could neither sync nor remove is made anew.
  files().Remove(directory).IgnoreError();
  const absl::Status made = files().MakeDirectory(directory);
  if (!made.ok() && !absl::IsAlreadyExists(made)) return made;
  return files().SyncDirectory(ParentOf(directory));
}

// Removed only if it is empty: a stranger's files are not ours to delete.
void Catalog::DropSpeakerDir(const SpeakerEntry& speaker) {
  if (speaker.State().last_version() != 0) return;
  files().Remove(SpeakerDir(options_.data_dir, speaker.name)).IgnoreError();
}

bool Catalog::Withdraw(const SpeakerEntry& speaker, const VersionEntry& version,
                       Staging& staging) {
  const std::string directory =
      VersionDir(options_.data_dir, speaker.name, version.number);
  if (const auto status = files().Rename(directory, staging.directory());
      !status.ok()) {
    Log(LogLevel::kError, "publication_not_withdrawn",
        {{"speaker", speaker.name},
         {"version", version.number},
         {"error", std::string(status.message())}});
    return false;
  }
  // After a power cut the version may be there: it is whole then too, as long
  // as its files are.
  if (files().SyncDirectory(ParentOf(directory)).ok()) {
    staging.Unpublished();
  }
  DropSpeakerDir(speaker);
  return true;
}

void Catalog::DropOldVersions(SpeakerEntry& speaker) {
  std::vector<uint64_t> surplus;
  {
    const MutexLock lock(speaker.mutex);
    std::vector<uint64_t> versions;
    for (const auto& [number, life] : speaker.versions) {
      versions.push_back(number);
    }
    surplus =
        SurplusVersions(versions, speaker.state.active_version(),
                        speaker.state.last_version(), options_.keep_versions);
  }
  for (const uint64_t number : surplus) {
    SayIfNotRemoved(speaker, number, RemoveVersion(speaker, number));
  }
}

}  // namespace timbre
