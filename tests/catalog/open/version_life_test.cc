#include "server/catalog/open/version_life.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/base/file_system.h"
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
    life_ = std::make_shared<VersionLife>(Record(1), reaper_);
  }
  void TearDown() override { reaper_->Stop(); }

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
  absl::StatusOr<Lease> Open() {
    return life_->Open([this] { return Read(); });
  }
  State state() const { return life_->Look().state; }
  // Returns once the reaper has done what it was given before.
  void Reaped() {
    std::promise<void> done;
    reaper_->Submit([&done] { done.set_value(); });
    done.get_future().wait();
  }

  const TempDir dir_;
  BuildResult built_;
  const std::shared_ptr<ThreadPool> reaper_ =
      std::make_shared<ThreadPool>("reaper", 1);
  std::shared_ptr<VersionLife> life_;
  std::atomic<int> reads_ = 0;
};

TEST(VersionLife, StatesFollowOneAnotherAsTheTableSays) {
  const std::vector<std::pair<State, std::vector<State>>> arrows = {
      {State::kClosed, {State::kReserved, State::kOpen, State::kDamaged}},
      {State::kReserved, {State::kOpening}},
      {State::kOpening, {State::kOpen, State::kClosed, State::kDamaged}},
      {State::kOpen, {State::kReserved, State::kClosing}},
      {State::kClosing, {State::kReserved, State::kClosed, State::kDamaged}},
      {State::kDamaged, {State::kReserved}}};
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
  EXPECT_EQ(life_->Find(), nullptr);
  auto lease = Open();
  ASSERT_OK(lease);
  EXPECT_EQ(state(), State::kOpen);
  EXPECT_EQ(life_->Find(), *lease);
  EXPECT_EQ(*Open(), *lease);
  EXPECT_EQ(reads_, 1);
  EXPECT_GT(life_->Look().resident_bytes, 0U);
  lease->reset();
  Reaped();
  EXPECT_EQ(state(), State::kClosed);
  EXPECT_EQ(life_->Look().resident_bytes, 0U);
}

TEST_F(VersionLifeTest, ClosesUntilItIsUnmappedAndIsInMemoryOnce) {
  std::promise<void> go;
  reaper_->Submit([wait = go.get_future().share()] { wait.wait(); });
  ASSERT_OK(Open());  // and let go
  EXPECT_EQ(state(), State::kClosing);
  std::thread again([this] { ASSERT_OK(Open()); });
  while (state() != State::kReserved) std::this_thread::yield();
  EXPECT_EQ(reads_, 1);
  go.set_value();
  again.join();
  EXPECT_EQ(reads_, 2);
}

TEST_F(VersionLifeTest, WhatIsKeptStaysOpen) {
  ASSERT_OK([&]() -> absl::Status {
    const auto lease = Open();
    life_->KeepOpen(true);
    return lease.status();
  }());
  Reaped();
  EXPECT_EQ(state(), State::kOpen);
  life_->KeepOpen(false);
  Reaped();
  EXPECT_EQ(state(), State::kClosed);
}

TEST_F(VersionLifeTest, AnOpeningThatFailsLeavesItClosed) {
  const auto fails = [](absl::Status status) {
    return [status]() -> absl::StatusOr<VersionLife::Read> { return status; };
  };
  EXPECT_TRUE(
      absl::IsInternal(life_->Open(fails(absl::InternalError(""))).status()));
  EXPECT_EQ(state(), State::kClosed);
  EXPECT_EQ(life_->Look().damage, absl::OkStatus());
  const absl::Status damage = absl::DataLossError("bad");
  EXPECT_EQ(life_->Open(fails(damage)).status(), damage);
  life_->SayDamaged(damage);
  EXPECT_EQ(state(), State::kDamaged);
  EXPECT_TRUE(life_->Look().damaged);
  // It may have been repaired.
  const auto lease = Open();
  ASSERT_OK(lease);
  EXPECT_EQ(state(), State::kOpen);
  EXPECT_EQ(life_->Look().damage, absl::OkStatus());
  life_->SayDamaged(damage);  // of an opening before
  EXPECT_EQ(state(), State::kOpen);
}

TEST_F(VersionLifeTest, APublicationIsOpenWithoutBeingRead) {
  auto built = Read();
  ASSERT_OK(built);
  const Lease lease = life_->Publish(*std::move(built));
  EXPECT_EQ(state(), State::kOpen);
  EXPECT_EQ(*Open(), lease);
  EXPECT_EQ(reads_, 1);
}

TEST_F(VersionLifeTest, LeasesHaveTheRecordThatWasReplacedLast) {
  const auto before = Open();
  ASSERT_OK(before);
  EXPECT_TRUE(absl::IsInternal(life_->ReplaceRecord(
      *before, std::make_shared<const VersionRecord>(Record(7)),
      [] { return absl::InternalError(""); })));
  EXPECT_EQ(life_->Find(), *before);
  ASSERT_OK(life_->ReplaceRecord(
      *before, std::make_shared<const VersionRecord>(Record(7)),
      [] { return absl::OkStatus(); }));
  // The index is the one that `before` holds: nothing is read.
  const auto after = Open();
  ASSERT_OK(after);
  EXPECT_EQ((*after)->record->tuning.nprobe, 7U);
  EXPECT_EQ((*after)->index, (*before)->index);
  EXPECT_EQ((*before)->record->tuning.nprobe, 1U);
  EXPECT_EQ(reads_, 1);
}

TEST_F(VersionLifeTest, WhatCouldNotBeReadIsReadAgain) {
  const auto life =
      std::make_shared<VersionLife>(absl::InternalError("disk"), reaper_);
  EXPECT_TRUE(life->NotRead());
  EXPECT_EQ(life->Look().record, nullptr);
  life->ReadAgain(Record(3));
  EXPECT_FALSE(life->NotRead());
  EXPECT_EQ(life->Look().record->tuning.nprobe, 3U);
  life->ReadAgain(absl::InternalError("later"));  // is known already
  EXPECT_FALSE(life->NotRead());
}

TEST_F(VersionLifeTest, LeasesOutliveIt) {
  auto lease = Open();
  ASSERT_OK(lease);
  life_.reset();
  EXPECT_EQ((*lease)->index->rows(), 200U);
  lease->reset();
  Reaped();
}

TEST_F(VersionLifeTest, ManyThreadsOpenAndLetGo) {
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
}

TEST_F(VersionLifeTest, WhatAnOpeningFindsIsNewerThanWhatIsReadBesideIt) {
  const auto life =
      std::make_shared<VersionLife>(absl::InternalError("disk"), reaper_);
  const auto lease = life->Open([&] {
    life->ReadAgain(absl::DataLossError("read meanwhile"));
    EXPECT_EQ(life->Look().state, State::kOpening);
    return Read();
  });
  ASSERT_OK(lease);
  EXPECT_EQ(life->Look().state, State::kOpen);
}

TEST_F(VersionLifeTest, DamageIsRememberedWhereItCannotBeReadAgain) {
  const auto life =
      std::make_shared<VersionLife>(absl::DataLossError("bad"), reaper_);
  EXPECT_FALSE(life->Open([]() -> absl::StatusOr<VersionLife::Read> {
                     return absl::InternalError("EIO");
                   })
                   .ok());
  EXPECT_TRUE(life->Look().damaged);
  EXPECT_EQ(life->Look().state, State::kDamaged);
}

TEST_F(VersionLifeTest, WhatIsOpenOfDamagedFilesIsDamaged) {
  const Lease held = *Open();
  life_->SayFilesDamaged(absl::DataLossError("another byte"));
  EXPECT_EQ(life_->Find(), nullptr);
  EXPECT_TRUE(held->index->store().damaged());
  EXPECT_TRUE(absl::IsDataLoss(held->index->store().Check()));
  EXPECT_TRUE(life_->Look().damaged);
  EXPECT_EQ(life_->Look().damage.message(), "another byte");
  // Whoever opens it anew has seen that it is whole.
  ASSERT_OK(Open());
  EXPECT_FALSE(life_->Look().damaged);
}

TEST_F(VersionLifeTest, AClosedVersionOfDamagedFilesIsDamaged) {
  life_->SayFilesDamaged(absl::DataLossError("another byte"));
  EXPECT_EQ(state(), State::kDamaged);
  EXPECT_TRUE(life_->Look().damaged);
}

TEST_F(VersionLifeTest,
       DamageThatIsSaidWhileItOpensOutlivesAnOpeningThatFails) {
  const auto opened = life_->Open([&]() -> absl::StatusOr<VersionLife::Read> {
    life_->SayFilesDamaged(absl::DataLossError("another byte"));
    return absl::InternalError("disk");
  });
  EXPECT_FALSE(opened.ok());
  EXPECT_EQ(state(), State::kDamaged);
}

TEST_F(VersionLifeTest, AReplacedRecordIsThatOfWhatWasOpenedAnewToo) {
  const std::string frames = dir_.File(testing::kBuiltFrames);
  const std::string whole = *ReadFile(frames);
  auto old = Open();
  ASSERT_OK(old);
  ASSERT_EQ(truncate(frames.c_str(), 10), 0);
  EXPECT_FALSE((*old)->index->store().Check().ok());
  ASSERT_OK(WriteFileDurably(frames, whole));
  auto anew = Open();
  ASSERT_OK(anew);
  ASSERT_NE((*anew)->index, (*old)->index);
  life_->KeepOpen(true);
  ASSERT_OK(life_->ReplaceRecord(
      *old, std::make_shared<const VersionRecord>(Record(7)),
      [] { return absl::OkStatus(); }));
  ASSERT_NE(life_->Find(), nullptr);
  EXPECT_EQ(life_->Find()->record->tuning.nprobe, 7U);
  old->reset();
  anew->reset();
  Reaped();
  EXPECT_NE(life_->Find(), nullptr);
}

TEST_F(VersionLifeTest, IsKeptThoughItsRecordWasReplacedMeanwhile) {
  auto lease = Open();
  ASSERT_OK(lease);
  ASSERT_OK(life_->ReplaceRecord(
      *lease, std::make_shared<const VersionRecord>(Record(7)),
      [] { return absl::OkStatus(); }));
  EXPECT_NE(life_->Find(), nullptr);
  life_->KeepOpen(true);
  lease->reset();
  Reaped();
  EXPECT_EQ(state(), State::kOpen);
}

TEST_F(VersionLifeTest, StaysOpenForStreamsWhereItCannotBeOpenedAnew) {
  const auto old = Open();
  ASSERT_OK(old);
  ASSERT_EQ(truncate(dir_.File(testing::kBuiltFrames).c_str(), 10), 0);
  EXPECT_FALSE((*old)->index->store().Check().ok());
  EXPECT_FALSE(Open().ok());
  EXPECT_GT(life_->Look().resident_bytes, 0U);
  EXPECT_EQ(state(), State::kOpen);
  EXPECT_TRUE(life_->Look().damaged);
}

}  // namespace
}  // namespace timbre
