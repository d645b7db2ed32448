// How a catalog comes to know its voices.
#include <memory>
#include <utility>

#include "absl/memory/memory.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/catalog/catalog.h"
#include "server/catalog/records/speaker_name.h"

namespace timbre {

absl::StatusOr<std::unique_ptr<Catalog>> Catalog::Open(CatalogOptions options) {
  TIMBRE_ASSIGN_OR_RETURN(
      std::unique_ptr<DirectoryStore> store,
      DirectoryStore::Open(options.data_dir, *options.files));
  auto catalog =
      absl::WrapUnique(new Catalog(std::move(options), std::move(store)));
  TIMBRE_RETURN_IF_ERROR(catalog->Recover());
  return catalog;
}

absl::Status Catalog::Recover() {
  TIMBRE_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                          store_->Names());
  for (const std::string& name : names) {
    absl::Status status = CheckSpeakerName(name);
    if (status.ok()) {
      status = RecoverSpeaker(name);
      // Tried again when somebody asks for it.
      if (!status.ok()) {
        const MutexLock lock(mutex_);
        unreadable_.insert(name);
      }
    }
    if (!status.ok()) {
      Log(LogLevel::kError, "speaker_not_recovered",
          {{"speaker", name}, {"error", std::string(status.message())}});
    }
  }
  return absl::OkStatus();
}

absl::Status Catalog::RecoverSpeaker(const std::string& name) {
  TIMBRE_ASSIGN_OR_RETURN(std::unique_ptr<StoredVoice> voice,
                          store_->Read(name));
  const auto speaker = std::make_shared<SpeakerEntry>(std::move(voice), open_);
  const MutexLock writing(speaker->write_mutex);
  Adopt(*speaker, {});
  {
    const MutexLock lock(mutex_);
    speakers_.emplace(speaker->name, speaker);
  }
  UpdateListed(speaker);
  return absl::OkStatus();
}

}  // namespace timbre
