// How versions are acquired: what is open already, and what has to be opened.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/catalog/catalog.h"
#include "server/catalog/records/file_names.h"

namespace timbre {

struct Catalog::Wanted {
  VoiceName voice;
  SpeakerPtr speaker;
  VersionEntry version;
  std::shared_ptr<const VersionRecord> record;  // of one that is to be opened
  Lease lease;

  // Null: it is not open. Looks at its frames (a page of the disk).
  Lease Find() const {
    Lease found = version.life->Find();
    if (found != nullptr && found->index->store().Check().ok()) return found;
    found.reset();
    version.life->DropDamaged();
    return nullptr;
  }
};

Lease Catalog::FindLoaded(const std::string& speaker, uint64_t version) {
  const SpeakerPtr entry = Find(speaker);
  if (entry == nullptr) return nullptr;
  const auto found = Resolve(*entry, version);
  return found.ok() ? found->life->Find() : nullptr;
}

absl::StatusOr<Catalog::Wanted> Catalog::WantedOf(const VoiceName& voice) {
  Wanted wanted{.voice = voice};
  TIMBRE_ASSIGN_OR_RETURN(wanted.speaker, Known(voice.speaker));
  TIMBRE_ASSIGN_OR_RETURN(wanted.version,
                          Resolve(*wanted.speaker, voice.version));
  return wanted;
}

// Read again rather than trusted from before: a repaired version serves without
// a restart.
absl::Status Catalog::ReadRecordOf(Wanted& wanted) {
  TIMBRE_ASSIGN_OR_RETURN(
      VersionRecord record,
      ReadRecord(wanted.speaker->name, wanted.version.number));
  wanted.record = std::make_shared<const VersionRecord>(std::move(record));
  return absl::OkStatus();
}

absl::Status Catalog::Failed(const Wanted& wanted, const absl::Status& status) {
  // It may be in the middle of being deleted, or another one have become
  // active: only a version that is still meant then is damaged.
  {
    const MutexLock writing(wanted.speaker->write_mutex);
    TIMBRE_ASSIGN_OR_RETURN(const VersionEntry meant,
                            Resolve(*wanted.speaker, wanted.voice.version));
    if (meant.life != wanted.version.life) return absl::OkStatus();
    // What only failed to be read is tried again by the next one.
    if (absl::IsDataLoss(status)) meant.life->SayDamaged(status);
  }
  Log(LogLevel::kError, "version_not_loaded",
      {{"speaker", wanted.voice.speaker},
       {"version", wanted.version.number},
       {"error", std::string(status.message())}});
  return Annotate(status, absl::StrCat("voice \"", wanted.voice.speaker,
                                       "\" version ", wanted.version.number));
}

namespace {

MemoryBudget::Want WantOf(const VersionEntry& version,
                          const IndexDescription& description,
                          const VersionRecord& record) {
  MemoryBudget::Want want{.version = version.life,
                          .room = MostRoomOf(record, description)};
  if (const uint64_t known = version.life->known_bytes(); known != 0) {
    want.room.bytes = known;
  }
  return want;
}

}  // namespace

absl::StatusOr<Lease> Catalog::OpenWanted(Wanted& wanted, ChargePtr charge) {
  return wanted.version.life->Open(
      std::move(charge), [&]() -> absl::StatusOr<VersionLife::Read> {
        TIMBRE_RETURN_IF_ERROR(
            CheckFoundDamage(wanted.speaker->name, wanted.version));
        // It may have been tuned since it was read.
        TIMBRE_RETURN_IF_ERROR(ReadRecordOf(wanted));
        TIMBRE_ASSIGN_OR_RETURN(
            std::unique_ptr<const SpeakerIndex> index,
            SpeakerIndex::Open(DescriptionOf(wanted), *options_.kernels));
        return VersionLife::Read{wanted.record, std::move(index)};
      });
}

IndexDescription Catalog::DescriptionOf(const Wanted& wanted) const {
  return wanted.record->Describe(
      VersionDir(options_.data_dir, wanted.speaker->name,
                 wanted.version.number),
      files());
}

absl::Status Catalog::OpenAll(std::span<Wanted> wanted,
                              const std::function<bool()>& cancelled,
                              const Wanted*& failed) {
  for (Wanted& one : wanted) {
    failed = &one;
    if (!one.version.life->Look().open()) {
      TIMBRE_RETURN_IF_ERROR(ReadRecordOf(one));
    }
  }
  std::vector<Wanted*> closed;
  std::vector<ChargePtr> charges;
  {
    const MemoryBudget::Turn turn(*open_->budget);
    do {
      std::vector<MemoryBudget::Want> wants;
      closed.clear();
      for (Wanted& one : wanted) {
        failed = &one;
        one.lease = one.Find();
        if (one.lease != nullptr) continue;
        if (one.record == nullptr) TIMBRE_RETURN_IF_ERROR(ReadRecordOf(one));
        wants.push_back(WantOf(one.version, DescriptionOf(one), *one.record));
        closed.push_back(&one);
      }
      failed = nullptr;
      if (wants.empty()) return absl::OkStatus();
      TIMBRE_ASSIGN_OR_RETURN(charges,
                              open_->budget->Reserve(wants, cancelled));
    } while (charges.empty());
  }
  for (size_t i = 0; i < closed.size(); ++i) {
    failed = closed[i];
    TIMBRE_ASSIGN_OR_RETURN(closed[i]->lease,
                            OpenWanted(*closed[i], std::move(charges[i])));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Lease>> Catalog::AcquireAll(
    std::span<const VoiceName> voices, const std::function<bool()>& cancelled) {
  while (true) {
    // Each version once, in the order in which they come first.
    std::vector<Wanted> wanted;
    std::vector<size_t> which;
    for (const VoiceName& voice : voices) {
      TIMBRE_ASSIGN_OR_RETURN(Wanted one, WantedOf(voice));
      const auto same =
          std::find_if(wanted.begin(), wanted.end(), [&](const Wanted& other) {
            return other.version.life == one.version.life;
          });
      which.push_back(static_cast<size_t>(same - wanted.begin()));
      if (same == wanted.end()) wanted.push_back(std::move(one));
    }
    const Wanted* failed = nullptr;
    const absl::Status status = OpenAll(wanted, cancelled, failed);
    if (status.ok()) {
      std::vector<Lease> leases;
      for (const size_t i : which) leases.push_back(wanted[i].lease);
      return leases;
    }
    if (failed == nullptr) return status;
    TIMBRE_RETURN_IF_ERROR(Failed(*failed, status));
  }
}

absl::StatusOr<Lease> Catalog::Acquire(const std::string& speaker,
                                       uint64_t version) {
  const VoiceName voice{speaker, version};
  TIMBRE_ASSIGN_OR_RETURN(const std::vector<Lease> leases,
                          AcquireAll({&voice, 1}, [] { return false; }));
  return leases.front();
}

absl::StatusOr<Lease> Catalog::AcquireForSure(const VoiceName& voice) {
  while (true) {
    TIMBRE_ASSIGN_OR_RETURN(Wanted wanted, WantedOf(voice));
    if (Lease lease = wanted.Find(); lease != nullptr) return lease;
    absl::Status status = ReadRecordOf(wanted);
    if (status.ok()) {
      ChargePtr charge = open_->budget->ReserveForSure(
          WantOf(wanted.version, DescriptionOf(wanted), *wanted.record));
      if (charge == nullptr) continue;
      absl::StatusOr<Lease> lease = OpenWanted(wanted, std::move(charge));
      if (lease.ok()) return lease;
      status = lease.status();
    }
    TIMBRE_RETURN_IF_ERROR(Failed(wanted, status));
  }
}

absl::StatusOr<StoredFrames> Catalog::OpenFrames(const std::string& speaker,
                                                 uint64_t version) {
  while (true) {
    TIMBRE_ASSIGN_OR_RETURN(Wanted wanted, WantedOf({speaker, version}));
    absl::Status status =
        CheckFoundDamage(wanted.speaker->name, wanted.version);
    if (status.ok()) status = ReadRecordOf(wanted);
    if (status.ok()) {
      const IndexDescription of = DescriptionOf(wanted);
      auto store = FrameStore::Open(of.frames_path, of.storage, of.rows,
                                    of.dimension, *options_.kernels, files());
      if (store.ok()) {
        return StoredFrames{wanted.record, std::make_shared<const FrameStore>(
                                               *std::move(store))};
      }
      status = store.status();
    }
    TIMBRE_RETURN_IF_ERROR(Failed(wanted, status));
  }
}

absl::Status Catalog::WhyUnreadable(const VersionRecord& version,
                                    const absl::Status& status) {
  if (status.ok()) return status;
  const storage::Manifest& manifest = version.manifest;
  TIMBRE_ASSIGN_OR_RETURN(const SpeakerPtr entry, Known(manifest.speaker()));
  const MutexLock writing(entry->write_mutex);
  TIMBRE_RETURN_IF_ERROR(Resolve(*entry, manifest.version()).status());
  return status;
}

void Catalog::DropDamaged(const LoadedVersion& version) {
  const storage::Manifest& manifest = version.record->manifest;
  const SpeakerPtr entry = Find(manifest.speaker());
  if (entry == nullptr) return;
  const auto found = Resolve(*entry, manifest.version());
  if (found.ok()) found->life->DropDamaged();
}

}  // namespace timbre
