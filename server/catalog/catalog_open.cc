// How versions are acquired: what is open already, and what has to be opened.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/log.h"
#include "server/base/status_macros.h"
#include "server/catalog/catalog.h"

namespace timbre {

struct Catalog::Wanted {
  VoiceName voice;
  SpeakerPtr speaker;
  VersionEntry version;
  std::shared_ptr<const VersionRecord> record;  // of one that is to be opened
  Lease lease;

  // Looks at the frames of the lease (a page of the disk), and drops it where
  // they are damaged.
  bool IsWhole() {
    if (lease->index->store().Check().ok()) return true;
    lease.reset();
    version.life->DropDamaged();
    return false;
  }
};

std::vector<Lease> Catalog::FindAllLoaded(
    std::span<const VoiceName> voices, MemoryBudget::Visit& visit,
    absl::FunctionRef<bool(const LoadedVersion&)> good) {
  std::vector<LifePtr> lives;
  for (const VoiceName& voice : voices) {
    const SpeakerPtr speaker = Find(voice.speaker);
    if (speaker == nullptr) return {};
    const auto version = Resolve(*speaker, voice.version);
    // All are there before one is taken.
    if (!version.ok() || !version->life->Look().open()) return {};
    lives.push_back(version->life);
  }
  std::vector<Lease> leases;
  for (const LifePtr& life : lives) {
    leases.push_back(life->Find(visit));
    if (leases.back() == nullptr || !good(*leases.back())) return {};
  }
  return leases;
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
      wanted.speaker->voice->ReadRecord(wanted.version.number));
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

absl::Status FoundMeanwhile() { return absl::AbortedError("found meanwhile"); }

}  // namespace

absl::StatusOr<Lease> Catalog::OpenWanted(Wanted& wanted, ChargePtr charge,
                                          MemoryBudget::Visit& visit) {
  return wanted.version.life->Open(
      std::move(charge), visit, [&]() -> absl::StatusOr<VersionLife::Read> {
        // Its files are compared before there is room for it (Prepare).
        if (wanted.version.life->check().damage()) return FoundMeanwhile();
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
      wanted.speaker->voice->Directory(wanted.version.number), files());
}

absl::Status Catalog::Prepare(Wanted& wanted,
                              const MemoryBudget::Cancelled& cancelled) {
  if (wanted.version.life->Look().open()) return absl::OkStatus();
  TIMBRE_RETURN_IF_ERROR(
      CheckFoundDamage(*wanted.speaker, wanted.version, cancelled));
  return ReadRecordOf(wanted);
}

absl::StatusOr<std::vector<ChargePtr>> Catalog::ReserveFor(
    std::span<Wanted> wanted, MemoryBudget::Visit& visit,
    const MemoryBudget::Cancelled& cancelled) {
  std::vector<MemoryBudget::Want> wants;
  OpenRoom beside;
  for (Wanted& one : wanted) {
    one.lease = one.version.life->Find(visit);
    if (one.lease != nullptr) {
      one.record = one.lease->record;
      // Closed meanwhile, or just taken in vain: anew, by another visit.
      if (!one.IsWhole()) return std::vector<ChargePtr>();
    } else {
      one.version.life->DropDamaged();
      if (one.record == nullptr) return std::vector<ChargePtr>();
    }
    const OpenRoom room = RoomOf(*one.record);
    if (one.lease != nullptr) {
      beside += room;
    } else {
      wants.push_back({.version = one.version.life, .room = room});
    }
  }
  if (wants.empty()) return std::vector<ChargePtr>();
  return budget().Reserve(wants, beside, visit, cancelled);
}

absl::StatusOr<bool> Catalog::OpenAll(std::span<Wanted> wanted,
                                      MemoryBudget::Visit& visit,
                                      const MemoryBudget::Cancelled& cancelled,
                                      const Wanted*& failed) {
  std::vector<std::shared_ptr<BudgetedVersion>> versions;
  for (Wanted& one : wanted) {
    failed = &one;
    TIMBRE_RETURN_IF_ERROR(Prepare(one, cancelled));
    versions.push_back(one.version.life);
  }
  failed = nullptr;
  // Before the turn: others are not to wait for these.
  TIMBRE_RETURN_IF_ERROR(budget().WaitForThose(versions, cancelled));
  std::vector<ChargePtr> charges;
  {
    const MemoryBudget::Turn turn(budget(), cancelled);
    TIMBRE_RETURN_IF_ERROR(turn.status());
    TIMBRE_ASSIGN_OR_RETURN(charges, ReserveFor(wanted, visit, cancelled));
  }
  auto charge = charges.begin();
  for (Wanted& one : wanted) {
    if (one.lease != nullptr) continue;
    // Nothing of it is open: somebody else is about to open one of them.
    if (charges.empty()) return false;
    failed = &one;
    TIMBRE_ASSIGN_OR_RETURN(one.lease,
                            OpenWanted(one, std::move(*charge++), visit));
  }
  return true;
}

namespace {

absl::Status Refused(std::span<const VoiceName> voices,
                     const absl::Status& status) {
  if (!absl::IsResourceExhausted(status)) return status;
  Log(LogLevel::kWarning, "opening_refused",
      {{"speaker", voices.front().speaker},
       {"voices", voices.size()},
       {"error", std::string(status.message())}});
  const std::string first =
      absl::StrCat("voice \"", voices.front().speaker, "\"");
  return Annotate(status, voices.size() == 1
                              ? first
                              : absl::StrCat(first, " mixed with ",
                                             voices.size() - 1, " more"));
}

}  // namespace

absl::StatusOr<std::vector<Lease>> Catalog::TryAcquire(
    std::span<const VoiceName> voices, MemoryBudget::Visit& visit,
    const MemoryBudget::Cancelled& cancelled) {
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
  const absl::StatusOr<bool> opened = OpenAll(wanted, visit, cancelled, failed);
  std::vector<Lease> leases;
  if (opened.ok() && *opened) {
    for (const size_t i : which) leases.push_back(wanted[i].lease);
  }
  if (opened.ok() || absl::IsAborted(opened.status())) return leases;
  if (failed == nullptr || absl::IsCancelled(opened.status())) {
    return Refused(voices, opened.status());
  }
  TIMBRE_RETURN_IF_ERROR(Failed(*failed, opened.status()));
  return leases;
}

absl::StatusOr<std::vector<Lease>> Catalog::AcquireAll(
    std::span<const VoiceName> voices, MemoryBudget::Visit& visit,
    const MemoryBudget::Cancelled& cancelled) {
  const auto is_whole = [](const LoadedVersion& version) {
    return version.index->store().Check().ok();  // a page of the disk
  };
  while (true) {
    auto leases = FindAllLoaded(voices, visit, is_whole);
    if (!leases.empty()) return leases;
    visit.End();
    TIMBRE_ASSIGN_OR_RETURN(leases, TryAcquire(voices, visit, cancelled));
    if (!leases.empty()) return leases;
    visit.End();
  }
}

absl::StatusOr<Lease> Catalog::Acquire(const std::string& speaker,
                                       uint64_t version) {
  MemoryBudget::Visit visit(budget());
  const VoiceName voice{speaker, version};
  TIMBRE_ASSIGN_OR_RETURN(const std::vector<Lease> leases,
                          AcquireAll({&voice, 1}, visit, [] { return false; }));
  visit.Count();
  return leases.front();
}

absl::StatusOr<Lease> Catalog::AcquireForSure(const VoiceName& voice,
                                              MemoryBudget::Visit& visit) {
  while (true) {
    TIMBRE_ASSIGN_OR_RETURN(Wanted wanted, WantedOf(voice));
    wanted.lease = wanted.version.life->Find(visit, /*may_fail=*/false);
    if (wanted.lease != nullptr && wanted.IsWhole()) return wanted.lease;
    wanted.version.life->DropDamaged();
    visit.End();
    absl::Status status = Prepare(wanted, [] { return false; });
    if (status.ok()) {
      if (wanted.record == nullptr) continue;  // open meanwhile
      ChargePtr charge = budget().ReserveForSure(
          {.version = wanted.version.life, .room = RoomOf(*wanted.record)});
      if (charge == nullptr) continue;
      absl::StatusOr<Lease> lease =
          OpenWanted(wanted, std::move(charge), visit);
      if (lease.ok()) return lease;
      status = lease.status();
      if (absl::IsAborted(status)) continue;
    }
    TIMBRE_RETURN_IF_ERROR(Failed(wanted, status));
  }
}

absl::StatusOr<StoredFrames> Catalog::OpenFrames(
    const VoiceName& voice, const MemoryBudget::Cancelled& cancelled) {
  while (true) {
    TIMBRE_ASSIGN_OR_RETURN(Wanted wanted, WantedOf(voice));
    absl::StatusOr<StoredFrames> opened = OpenFramesOf(wanted, cancelled);
    if (opened.ok()) return opened;
    if (absl::IsCancelled(opened.status())) return opened.status();
    TIMBRE_RETURN_IF_ERROR(Failed(wanted, opened.status()));
  }
}

absl::StatusOr<StoredFrames> Catalog::OpenFramesOf(
    Wanted& wanted, const MemoryBudget::Cancelled& cancelled) {
  TIMBRE_RETURN_IF_ERROR(
      CheckFoundDamage(*wanted.speaker, wanted.version, cancelled));
  TIMBRE_RETURN_IF_ERROR(ReadRecordOf(wanted));
  const IndexDescription of = DescriptionOf(wanted);
  TIMBRE_ASSIGN_OR_RETURN(
      FrameStore store,
      FrameStore::Open(of.frames_path, of.storage, of.rows, of.dimension,
                       *options_.kernels, files()));
  TIMBRE_RETURN_IF_ERROR(wanted.version.life->TellReader(store.shared_file()));
  return StoredFrames{wanted.record,
                      std::make_shared<const FrameStore>(std::move(store))};
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
