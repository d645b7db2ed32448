// How a staged version becomes a published one of the data directory.
#include <utility>
#include <vector>

#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/catalog/records/file_names.h"
#include "server/catalog/store/directory_voice.h"

namespace timbre {

absl::StatusOr<Published> DirectoryVoice::Publish(Staging& staging,
                                                  Publication publication) {
  storage::Manifest& manifest = publication.manifest;
  const uint64_t version = ++reserved_;
  manifest.set_speaker(name());
  manifest.set_version(version);
  TIMBRE_RETURN_IF_ERROR(WriteManifest(staging.directory(), manifest, files()));
  Published published;
  TIMBRE_ASSIGN_OR_RETURN(published.record, ParseManifest(manifest));
  if (publication.cancelled()) {
    return absl::CancelledError("the build was cancelled");
  }
  published.status = CommitVersion(version, !manifest.keep_inactive(), staging);
  if (!published.status.ok() && !absl::IsUnknown(published.status)) {
    return published.status;
  }
  return published;
}

absl::Status DirectoryVoice::CommitVersion(uint64_t version, bool active,
                                           Staging& staging) {
  storage::SpeakerState state = State();
  state.set_last_version(version);
  if (active) state.set_active_version(version);
  const std::string directory = Directory(version);
  // Whatever can be done before is: a full disk is found here.
  TIMBRE_ASSIGN_OR_RETURN(Replacement replacement, Prepare(state));
  absl::Status status = MakeDirectory();
  if (status.ok()) status = files().Rename(staging.directory(), directory);
  if (!status.ok()) {
    DropDirectory();
    return status;
  }
  // From here on a start would complete the publication.
  staging.Published();
  status = files().SyncDirectory(ParentOf(directory));
  if (status.ok())
    status = files().SyncDirectory(ParentOf(staging.directory()));
  if (status.ok()) status = replacement.Commit();
  if (!status.ok() && !absl::IsUnknown(status)) {
    if (Withdraw(version, staging)) return status;
    status = OutcomeUnknown(status);
  }
  Remember(state, status.ok());
  versions_.push_back(version);
  return status;
}

absl::Status DirectoryVoice::MakeDirectory() {
  if (last_version_ != 0) return absl::OkStatus();
  // One that an earlier publication could neither sync nor remove is made anew.
  files().Remove(path()).IgnoreError();
  const absl::Status made = files().MakeDirectory(path());
  if (!made.ok() && !absl::IsAlreadyExists(made)) return made;
  return files().SyncDirectory(ParentOf(path()));
}

void DirectoryVoice::DropDirectory() {
  if (last_version_ != 0) return;
  files().Remove(path()).IgnoreError();
}

bool DirectoryVoice::Withdraw(uint64_t version, Staging& staging) {
  const std::string directory = Directory(version);
  if (const auto status = files().Rename(directory, staging.directory());
      !status.ok()) {
    Log(LogLevel::kError, "publication_not_withdrawn",
        {{"speaker", name()},
         {"version", version},
         {"error", std::string(status.message())}});
    return false;
  }
  // After a power cut the version may be there: it is whole then too, as long
  // as its files are.
  if (files().SyncDirectory(ParentOf(directory)).ok()) {
    staging.Unpublished();
  }
  DropDirectory();
  return true;
}

}  // namespace timbre
