// How a staged version becomes a published one.
#include <utility>

#include "server/base/checksum.h"
#include "server/base/file_system.h"
#include "server/base/status_macros.h"
#include "server/catalog/catalog.h"
#include "server/catalog/records/file_names.h"
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
  uint64_t deletions = 0;
  if (entry.ok()) {
    const MutexLock lock((*entry)->mutex);
    deletions = (*entry)->deletions;
  }
  return store_->Stage(speaker, deletions);
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
  if (speaker->voice->View().deletions != staging.deletions()) {
    return SpeakerDeleted(speaker->name);
  }
  TIMBRE_ASSIGN_OR_RETURN(std::optional<VersionInfo> earlier,
                          FindPublished(*speaker, manifest.request_id()));
  if (earlier) {
    TIMBRE_RETURN_IF_ERROR(speaker->voice->Settle());
    return *std::move(earlier);
  }
  TIMBRE_ASSIGN_OR_RETURN(
      Published published,
      speaker->voice->Publish(
          staging, {.manifest = std::move(manifest), .cancelled = cancelled}));
  const VersionEntry version{published.record.manifest.version(), life};
  // Until Adopt decides whether it stays open. No stream: it refuses nobody.
  MemoryBudget::Visit visit(budget());
  const Lease lease = life->Publish(
      {std::make_shared<const VersionRecord>(std::move(published.record)),
       std::move(verified.index)},
      std::move(verified.charge), visit);
  Adopt(*speaker, version);
  TIMBRE_RETURN_IF_ERROR(published.status);
  speaker->voice->DropSurplus(options_.keep_versions);
  Adopt(*speaker, {});
  bool active = false;
  {
    const MutexLock lock(speaker->mutex);
    active = speaker->active_version == version.number;
  }
  return DescribeVersion(*speaker, version, active);
}

}  // namespace timbre
