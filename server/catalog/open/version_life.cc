#include "server/catalog/open/version_life.h"

#include <utility>

#include "server/base/log.h"
#include "server/base/monotonic_clock.h"

namespace timbre {
namespace {

using State = VersionLife::State;

// By the reaper, of what was open: gives back its memory, then its room. Its
// frames count for nothing: they are unmapped last, which takes longest.
void CloseIndex(std::unique_ptr<const SpeakerIndex> index, ChargePtr charge,
                absl::FunctionRef<void()> unmapped) {
  const std::shared_ptr<const MappedFile> file = index->store().shared_file();
  index.reset();
  unmapped();
  // Used once, as by a sweep: what is used again and again is to stay in memory
  // rather than this. Before others are read into its room.
  if (file->uses() <= 1) file->SayCold();
  charge.reset();
}

}  // namespace

OpenRoom RoomOf(const VersionRecord& record) {
  // Where its files are does not matter.
  const IndexDescription description = record.Describe("", FileSystem::Posix());
  return {.bytes = SpeakerIndex::MostResidentBytes(description) +
                   record.resident_bytes(),
          .maps = SpeakerIndex::kMaps};
}

bool VersionLife::CanBecome(State from, State to) {
  switch (from) {
    case State::kClosed:
      return to == State::kOpening || to == State::kOpen ||
             to == State::kDamaged;
    case State::kOpening:
      return to == State::kOpen || to == State::kClosed ||
             to == State::kDamaged;
    case State::kOpen:
      return to == State::kIdle || to == State::kClosing ||
             to == State::kDamaged;
    case State::kIdle:
      return to == State::kOpen || to == State::kClosing ||
             to == State::kDamaged;
    case State::kClosing:
      return to == State::kClosed || to == State::kDamaged;
    case State::kDamaged:
      return to == State::kOpening || to == State::kClosed;
  }
  return false;
}

VersionLife::VersionLife(std::shared_ptr<OpenVoice> voice)
    : voice_(std::move(voice)), check_(MonotonicNow()) {}

VersionLife::~VersionLife() {
  budget().Forget(*this);
  const MutexLock lock(mutex_);
  if (open_ != nullptr) Become(State::kClosing);
  SetDamage(absl::OkStatus());
}

void VersionLife::Become(State state) {
  if (!CanBecome(state_, state)) {
    Log(LogLevel::kError, "version_state_unforeseen",
        {{"from", static_cast<int>(state_)}, {"to", static_cast<int>(state)}});
  }
  const auto is_open = [](State s) {
    return s == State::kOpen || s == State::kIdle;
  };
  if (is_open(state) && !is_open(state_) && voice_->open.fetch_add(1) == 0) {
    voice_->all->voices.fetch_add(1);
  }
  if (is_open(state_) && !is_open(state) && voice_->open.fetch_sub(1) == 1) {
    voice_->all->voices.fetch_sub(1);
  }
  state_ = state;
}

VersionLife::State VersionLife::Resting() const {
  return damage_.ok() ? State::kClosed : State::kDamaged;
}

void VersionLife::SetDamage(absl::Status damage) {
  if (damage_.ok() && !damage.ok()) voice_->all->damaged.fetch_add(1);
  if (!damage_.ok() && damage.ok()) voice_->all->damaged.fetch_sub(1);
  damage_ = std::move(damage);
}

VersionLife::View VersionLife::Look() const {
  const MutexLock lock(mutex_);
  View view{.state = state_, .record = record_, .damage = damage_};
  if (open_ != nullptr && open_->index->store().damaged()) {
    view.damage = open_->index->store().Damage();
  }
  return view;
}

Lease VersionLife::Find(MemoryBudget::Visit& visit, bool may_fail) {
  const MutexLock lock(mutex_);
  if (open_ == nullptr || open_->index->store().damaged() ||
      !budget().Take(*open_->charge, visit, may_fail)) {
    return nullptr;
  }
  if (state_ == State::kIdle) Become(State::kOpen);
  return MakeLease();
}

// A lease from before the record was replaced may be all that is left.
Lease VersionLife::MakeLease() {
  Lease lease = lease_.lock();
  if (lease != nullptr) return lease;
  IndexPtr held = held_.lock();
  if (held == nullptr) {
    const auto release = [life = std::weak_ptr(Self()),
                          open = open_](const SpeakerIndex*) mutable {
      // Not kept by those who hold a weak pointer.
      const OpenPtr released = std::move(open);
      if (const auto alive = life.lock()) alive->Released(released);
    };
    held = IndexPtr(open_->index.get(), release);
    held_ = held;
  }
  lease = std::make_shared<const LoadedVersion>(
      LoadedVersion{record_, std::move(held)});
  lease_ = lease;
  return lease;
}

VersionLife::OpenPtr VersionLife::StartClosing() {
  Become(State::kClosing);
  closing_ = open_.get();
  record_ = nullptr;
  return std::exchange(open_, nullptr);
}

void VersionLife::Released(const OpenPtr& open) {
  OpenPtr dropped;  // to go without the lock
  const MutexLock lock(mutex_);
  // Opened anew, or taken again meanwhile.
  if (open_ != open || !held_.expired()) return;
  if (budget().Rest(*open_->charge, keep_)) {
    if (state_ == State::kOpen) Become(State::kIdle);
    return;
  }
  dropped = StartClosing();
}

void VersionLife::Close() {
  OpenPtr dropped;
  const MutexLock lock(mutex_);
  if (state_ != State::kIdle) return;  // Released did it
  dropped = StartClosing();
}

absl::StatusOr<Lease> VersionLife::Open(ChargePtr charge,
                                        MemoryBudget::Visit& visit,
                                        Reader reader) {
  const MutexLock opening(opening_mutex_);
  {
    const MutexLock lock(mutex_);
    Become(State::kOpening);
    found_meanwhile_ = absl::OkStatus();
  }
  absl::StatusOr<Read> read = reader();
  const MutexLock lock(mutex_);
  if (read.ok() && !found_meanwhile_.ok()) read = found_meanwhile_;
  if (!read.ok()) {
    Become(Resting());
    return read.status();
  }
  return Opened(*std::move(read), std::move(charge), visit);
}

Lease VersionLife::Opened(Read read, ChargePtr charge,
                          MemoryBudget::Visit& visit) {
  budget().Opened(*charge, visit);
  Become(State::kOpen);
  record_ = std::move(read.record);
  SetDamage(absl::OkStatus());
  open_ = MakeOpen(std::move(read.index), std::move(charge));
  held_.reset();
  lease_.reset();
  return MakeLease();
}

VersionLife::OpenPtr VersionLife::MakeOpen(
    std::unique_ptr<const SpeakerIndex> index, ChargePtr charge) {
  auto open = std::make_unique<OpenIndex>(
      OpenIndex{std::move(charge), std::move(index)});
  const auto unmap = [all = voice_->all,
                      life = std::weak_ptr(Self())](OpenIndex* last) {
    // Destroyed with the task: on the reaper's thread, or here after its end.
    std::shared_ptr<OpenIndex> owned(last);
    all->budget->Leaving(*owned->charge);
    all->reaper->Submit([owned = std::move(owned), life] {
      CloseIndex(std::move(owned->index), std::move(owned->charge), [&] {
        if (const auto alive = life.lock()) alive->Unmapped(owned.get());
      });
    });
  };
  return OpenPtr(open.release(), unmap);
}

void VersionLife::Unmapped(const OpenIndex* open) {
  const MutexLock lock(mutex_);
  if (closing_ != open) return;
  closing_ = nullptr;
  Become(Resting());
}

Lease VersionLife::Publish(Read built, ChargePtr charge,
                           MemoryBudget::Visit& visit) {
  const MutexLock lock(mutex_);
  return Opened(std::move(built), std::move(charge), visit);
}

void VersionLife::KeepOpen(bool keep) {
  OpenPtr dropped;
  const MutexLock lock(mutex_);
  keep_ = keep;
  if (keep || state_ != State::kIdle) return;
  budget().Rest(*open_->charge, false);
  dropped = StartClosing();
}

void VersionLife::SayDamaged(const absl::Status& damage) {
  const MutexLock lock(mutex_);
  // Somebody may have opened it again already.
  if (state_ != State::kClosed && state_ != State::kDamaged) return;
  SetDamage(damage);
  if (state_ == State::kClosed) Become(State::kDamaged);
}

VersionLife::OpenPtr VersionLife::Drop(absl::Status damage) {
  SetDamage(std::move(damage));
  budget().Detach(*open_->charge);
  Become(State::kDamaged);
  record_ = nullptr;
  return std::exchange(open_, nullptr);
}

void VersionLife::DropDamaged() {
  OpenPtr dropped;  // to go without the lock
  const MutexLock lock(mutex_);
  if (open_ == nullptr || !open_->index->store().damaged()) return;
  dropped = Drop(open_->index->store().Damage());
}

absl::Status VersionLife::TellReader(std::shared_ptr<const MappedFile> file) {
  const MutexLock lock(mutex_);
  if (const auto known = check_.damage(); known) return known->status;
  std::erase_if(readers_, [](const auto& reader) { return reader.expired(); });
  readers_.push_back(std::move(file));
  return absl::OkStatus();
}

void VersionLife::SayFilesDamaged(const absl::Status& damage) {
  OpenPtr dropped;
  const MutexLock lock(mutex_);
  for (const auto& reader : std::exchange(readers_, {})) {
    if (const auto file = reader.lock()) file->SayDamaged();
  }
  if (open_ != nullptr) {
    open_->index->store().file().SayDamaged();
    dropped = Drop(damage);
    return;
  }
  SetDamage(damage);
  found_meanwhile_ = damage;
  if (state_ == State::kClosed) Become(State::kDamaged);
}

void VersionLife::SayFilesWhole() {
  const MutexLock lock(mutex_);
  if (state_ != State::kDamaged && state_ != State::kClosing) return;
  SetDamage(absl::OkStatus());
  if (state_ == State::kDamaged) Become(State::kClosed);
}

absl::Status VersionLife::ReplaceRecord(
    std::shared_ptr<const VersionRecord> record,
    absl::FunctionRef<absl::Status()> commit) {
  const MutexLock opening(opening_mutex_);
  absl::Status committed = commit();
  if (!committed.ok() && !absl::IsUnknown(committed)) return committed;
  const MutexLock lock(mutex_);
  // What is opened from now on reads it.
  if (open_ == nullptr) return committed;
  record_ = std::move(record);
  lease_.reset();
  return committed;
}

}  // namespace timbre
