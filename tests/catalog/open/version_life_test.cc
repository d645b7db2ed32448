#include "server/catalog/open/version_life.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/base/file_system.h"
#include "server/base/status_macros.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

using State = VersionLife::State;
using testing::TempDir;

// A version of 200 frames, built once; its files can be opened again and again.
class VersionLifeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto frames = testing::Speech(200, 32, 1);
    const auto built = testing::BuildFrames(dir_.path(), frames, {});
    ASSERT_OK(built);
    built_ = *built;
    voice_->all = std::make_shared<OpenVersions>();
    voice_->all->budget = budget_;
    voice_->all->reaper = reaper_;
    life_ = std::make_shared<VersionLife>(voice_);
  }
  void TearDown() override {
    budget_->Stop();
    reaper_->Stop();
  }

  static VersionRecord Record(uint32_t nprobe) {
    VersionRecord record;
    record.tuning.nprobe = nprobe;
    return record;
  }

  absl::StatusOr<VersionLife::Read> Read(uint32_t nprobe = 1) {
    ++reads_;
    auto index =
        testing::OpenBuilt(dir_.path(), built_, 32, Metric::kL2, BestKernels());
    if (!index.ok()) return index.status();
    return VersionLife::Read{
        std::make_shared<const VersionRecord>(Record(nprobe)),
        *std::move(index)};
  }
  using Reader = std::function<absl::StatusOr<VersionLife::Read>()>;
  // As the catalogue opens versions.
  absl::StatusOr<Lease> Open(const Reader& reader) {
    const auto never = [] { return false; };
    while (true) {
      life_->DropDamaged();
      const std::shared_ptr<BudgetedVersion> version = life_;
      TIMBRE_RETURN_IF_ERROR(budget_->WaitForThose({&version, 1}, never));
      MemoryBudget::Visit visit(*budget_);
      std::vector<ChargePtr> charges;
      {
        const MemoryBudget::Turn turn(*budget_, never);
        if (Lease lease = life_->Find(visit); lease != nullptr) return lease;
        const MemoryBudget::Want want{.version = life_, .room = kRoom};
        charges = *budget_->Reserve({&want, 1}, {}, visit, never);
      }
      if (charges.empty()) continue;
      return life_->Open(std::move(charges[0]), visit, reader);
    }
  }
  Lease Find() {
    MemoryBudget::Visit visit(*budget_);
    return life_->Find(visit);
  }
  absl::StatusOr<Lease> Open() {
    return Open([this] { return Read(); });
  }
  ChargePtr ChargeForSure() {
    return budget_->ReserveForSure({.version = life_, .room = kRoom});
  }
  uint64_t held() const { return budget_->totals().open.bytes; }
  State state() const { return life_->Look().state; }
  // Returns once the reaper has done what it was given before.
  void Reaped() {
    std::promise<void> done;
    reaper_->Submit([&done] { done.set_value(); });
    done.get_future().wait();
  }

  static constexpr OpenRoom kRoom{.bytes = 1'000'000, .maps = 2};

  const TempDir dir_;
  BuildResult built_;
  const std::shared_ptr<ThreadPool> reaper_ =
      std::make_shared<ThreadPool>("reaper", 1);
  const std::shared_ptr<MemoryBudget> budget_ =
      std::make_shared<MemoryBudget>(MemoryBudget::Options{});
  const std::shared_ptr<OpenVoice> voice_ = std::make_shared<OpenVoice>();
  std::shared_ptr<VersionLife> life_;
  std::atomic<int> reads_ = 0;
};

TEST(VersionLife, StatesFollowOneAnotherAsTheTableSays) {
  const std::vector<std::pair<State, std::vector<State>>> arrows = {
      {State::kClosed, {State::kOpening, State::kOpen, State::kDamaged}},
      {State::kOpening, {State::kOpen, State::kClosed, State::kDamaged}},
      {State::kOpen, {State::kIdle, State::kClosing, State::kDamaged}},
      {State::kIdle, {State::kOpen, State::kClosing, State::kDamaged}},
      {State::kClosing, {State::kClosed, State::kDamaged}},
      {State::kDamaged, {State::kOpening, State::kClosed}}};
  for (const auto& [from, to] : arrows) {
    for (const auto& [other, unused] : arrows) {
      EXPECT_EQ(VersionLife::CanBecome(from, other),
                std::find(to.begin(), to.end(), other) != to.end())
          << static_cast<int>(from) << " to " << static_cast<int>(other);
    }
  }
}

TEST_F(VersionLifeTest, IsOpenAsLongAsSomebodyHoldsIt) {
  EXPECT_EQ(state(), State::kClosed);
  EXPECT_EQ(Find(), nullptr);
  auto lease = Open();
  ASSERT_OK(lease);
  EXPECT_EQ(state(), State::kOpen);
  EXPECT_EQ(Find(), *lease);
  EXPECT_EQ(*Open(), *lease);
  EXPECT_EQ(reads_, 1);
  EXPECT_EQ(held(), kRoom.bytes);
  EXPECT_EQ(voice_->all->voices, 1);
  lease->reset();
  Reaped();
  EXPECT_EQ(state(), State::kClosed);
  EXPECT_EQ(held(), 0U);
  EXPECT_EQ(voice_->all->voices, 0);
}

TEST_F(VersionLifeTest, ClosesUntilItIsUnmappedAndIsInMemoryOnce) {
  std::promise<void> go;
  reaper_->Submit([wait = go.get_future().share()] { wait.wait(); });
  ASSERT_OK(Open());  // and let go
  EXPECT_EQ(state(), State::kClosing);
  EXPECT_GT(held(), 0U);
  std::thread again([this] { ASSERT_OK(Open()); });
  while (budget_->totals().waiting == 0) std::this_thread::yield();
  EXPECT_EQ(reads_, 1);
  go.set_value();
  again.join();
  EXPECT_EQ(reads_, 2);
}

TEST_F(VersionLifeTest, WhatIsKeptStaysOpen) {
  life_->KeepOpen(true);
  ASSERT_OK(Open());
  Reaped();
  EXPECT_EQ(state(), State::kIdle);
  EXPECT_NE(Find(), nullptr);
  EXPECT_EQ(state(), State::kIdle);
  EXPECT_EQ(reads_, 1);
  life_->KeepOpen(false);
  Reaped();
  EXPECT_EQ(state(), State::kClosed);
  EXPECT_EQ(held(), 0U);
}

TEST_F(VersionLifeTest, WhatTheBudgetClosesIsOpenedAgain) {
  life_->KeepOpen(true);
  ASSERT_OK(Open());
  life_->Close();
  EXPECT_EQ(Find(), nullptr);
  Reaped();
  EXPECT_EQ(state(), State::kClosed);
  ASSERT_OK(Open());
  EXPECT_EQ(reads_, 2);
}

TEST_F(VersionLifeTest, WhatStreamsHoldIsNotClosed) {
  life_->KeepOpen(true);
  const auto lease = Open();
  ASSERT_OK(lease);
  life_->Close();
  EXPECT_EQ(Find(), *lease);
}

TEST_F(VersionLifeTest, AnOpeningThatFailsLeavesItClosed) {
  const auto fails = [](absl::Status status) {
    return [status]() -> absl::StatusOr<VersionLife::Read> { return status; };
  };
  EXPECT_TRUE(absl::IsInternal(Open(fails(absl::InternalError(""))).status()));
  EXPECT_EQ(state(), State::kClosed);
  EXPECT_EQ(life_->Look().damage, absl::OkStatus());
  EXPECT_EQ(budget_->totals().reserved.bytes, 0U);
  const absl::Status damage = absl::DataLossError("bad");
  EXPECT_EQ(Open(fails(damage)).status(), damage);
  life_->SayDamaged(damage);
  EXPECT_EQ(state(), State::kDamaged);
  EXPECT_EQ(life_->Look().damage, damage);
  EXPECT_EQ(voice_->all->damaged, 1);
  // Damage is remembered where it cannot be read again.
  EXPECT_FALSE(Open(fails(absl::InternalError(""))).ok());
  EXPECT_EQ(state(), State::kDamaged);
  // It may have been repaired.
  const auto lease = Open();
  ASSERT_OK(lease);
  EXPECT_EQ(state(), State::kOpen);
  EXPECT_EQ(life_->Look().damage, absl::OkStatus());
  EXPECT_EQ(voice_->all->damaged, 0);
  life_->SayDamaged(damage);  // of an opening before
  EXPECT_EQ(state(), State::kOpen);
}

TEST_F(VersionLifeTest, DamagedFramesAreOpenedAnewBesideStreamsThatHoldThem) {
  const std::string frames = dir_.File(testing::kBuiltFrames);
  const std::string whole = *ReadFile(frames);
  life_->KeepOpen(true);
  auto old = Open();
  ASSERT_OK(old);
  const uint64_t one = held();
  ASSERT_EQ(truncate(frames.c_str(), 10), 0);
  EXPECT_FALSE((*old)->index->store().Check().ok());
  EXPECT_EQ(Find(), nullptr);
  EXPECT_FALSE(life_->Look().damage.ok());
  EXPECT_FALSE(Open().ok());
  EXPECT_EQ(state(), State::kDamaged);
  EXPECT_EQ(held(), one) << "what streams hold counts";
  ASSERT_OK(WriteFileDurably(frames, whole));
  const auto anew = Open();
  ASSERT_OK(anew);
  EXPECT_NE((*anew)->index, (*old)->index);
  EXPECT_EQ(held(), 2 * one);
  old->reset();
  Reaped();
  EXPECT_EQ(held(), one);
  EXPECT_EQ(Find(), *anew);
}

TEST_F(VersionLifeTest, APublicationIsOpenWithoutBeingRead) {
  auto built = Read();
  ASSERT_OK(built);
  MemoryBudget::Visit visit(*budget_);
  const Lease lease = life_->Publish(*std::move(built), ChargeForSure(), visit);
  EXPECT_EQ(state(), State::kOpen);
  EXPECT_EQ(*Open(), lease);
  EXPECT_EQ(reads_, 1);
}

TEST_F(VersionLifeTest, LeasesHaveTheRecordThatWasReplacedLast) {
  const auto before = Open();
  ASSERT_OK(before);
  EXPECT_TRUE(absl::IsInternal(
      life_->ReplaceRecord(std::make_shared<const VersionRecord>(Record(7)),
                           [] { return absl::InternalError(""); })));
  EXPECT_EQ(Find(), *before);
  ASSERT_OK(
      life_->ReplaceRecord(std::make_shared<const VersionRecord>(Record(7)),
                           [] { return absl::OkStatus(); }));
  // The index is the one that `before` holds: nothing is read.
  const auto after = Open();
  ASSERT_OK(after);
  EXPECT_EQ((*after)->record->tuning.nprobe, 7U);
  EXPECT_EQ((*after)->index, (*before)->index);
  EXPECT_EQ((*before)->record->tuning.nprobe, 1U);
  EXPECT_EQ(reads_, 1);
}

TEST_F(VersionLifeTest, LeasesOutliveIt) {
  life_->KeepOpen(true);
  auto lease = Open();
  ASSERT_OK(lease);
  life_.reset();
  EXPECT_EQ((*lease)->index->rows(), 200U);
  EXPECT_GT(held(), 0U);
  lease->reset();
  Reaped();
  EXPECT_EQ(held(), 0U);
}

TEST_F(VersionLifeTest, WhatIsIdleGoesWithIt) {
  life_->KeepOpen(true);
  ASSERT_OK(Open());
  EXPECT_GT(held(), 0U);
  life_.reset();
  Reaped();
  EXPECT_EQ(held(), 0U);
  EXPECT_EQ(voice_->all->voices, 0);
}

TEST_F(VersionLifeTest, ManyThreadsOpenCloseAndLetGo) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this, i] {
      for (int j = 0; j < 50; ++j) {
        const auto lease = Open();
        ASSERT_OK(lease);
        life_->KeepOpen(i == 0 && j % 2 == 0);
        (void)life_->Look();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  life_->KeepOpen(false);
  Reaped();
  EXPECT_EQ(state(), State::kClosed);
  EXPECT_EQ(held(), 0U);
}

TEST_F(VersionLifeTest, WhatNobodyHoldsOfADeletedVersionIsClosing) {
  Lease lease = *Open();
  life_.reset();
  EXPECT_EQ(budget_->totals().held.bytes, kRoom.bytes);
  std::promise<void> go;
  reaper_->Submit([wait = go.get_future().share()] { wait.wait(); });
  lease.reset();
  EXPECT_EQ(budget_->totals().held.bytes, 0U);
  EXPECT_EQ(held(), kRoom.bytes) << "until it is unmapped";
  go.set_value();
  Reaped();
  EXPECT_EQ(held(), 0U);
}

TEST_F(VersionLifeTest, WhoReadsItsFramesIsToldOfDamage) {
  const auto map = [this] {
    const std::string path = dir_.File(testing::kBuiltFrames);
    return std::shared_ptr<const MappedFile>(
        *MappedFile::Open(path, *FileSize(path)));
  };
  const auto file = map();
  ASSERT_OK(life_->TellReader(file));
  ASSERT_OK(life_->TellReader(map()));  // it reads no more
  EXPECT_FALSE(file->damaged());
  const absl::Status damage = absl::DataLossError("another byte");
  life_->check().SayDamaged({.status = damage}, absl::Now());
  life_->SayFilesDamaged(damage);
  EXPECT_TRUE(file->damaged());
  EXPECT_EQ(life_->TellReader(map()), damage);
}

TEST_F(VersionLifeTest, WhatIsOpenOfDamagedFilesIsDamaged) {
  const Lease held = *Open();
  life_->SayFilesDamaged(absl::DataLossError("another byte"));
  EXPECT_EQ(Find(), nullptr);
  EXPECT_TRUE(held->index->store().damaged());
  EXPECT_TRUE(absl::IsDataLoss(held->index->store().Check()));
  EXPECT_EQ(life_->Look().damage.message(), "another byte");
  // Whoever opens it anew has seen that it is whole.
  ASSERT_OK(Open());
  EXPECT_TRUE(life_->Look().damage.ok());
}

TEST_F(VersionLifeTest, AClosedVersionOfDamagedFilesIsDamagedUntilItIsWhole) {
  life_->SayFilesDamaged(absl::DataLossError("another byte"));
  EXPECT_EQ(state(), State::kDamaged);
  life_->SayFilesWhole();
  EXPECT_EQ(state(), State::kClosed);
  EXPECT_TRUE(life_->Look().damage.ok());
}

TEST_F(VersionLifeTest, WhatIsFoundDamagedWhileItOpensIsNotOpened) {
  const absl::Status damage = absl::DataLossError("another byte");
  const auto opened = Open([&] {
    life_->SayFilesDamaged(damage);
    return Read();
  });
  EXPECT_EQ(opened.status(), damage);
  EXPECT_EQ(state(), State::kDamaged);
  EXPECT_EQ(Find(), nullptr);
  ASSERT_OK(Open());
}

TEST_F(VersionLifeTest,
       DamageThatIsSaidWhileItOpensOutlivesAnOpeningThatFails) {
  const auto opened = Open([&]() -> absl::StatusOr<VersionLife::Read> {
    life_->SayFilesDamaged(absl::DataLossError("another byte"));
    return absl::InternalError("disk");
  });
  EXPECT_FALSE(opened.ok());
  EXPECT_EQ(state(), State::kDamaged);
}

}  // namespace
}  // namespace timbre
