#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/base/monotonic_clock.h"
#include "server/catalog/catalog.h"
#include "server/catalog/records/file_names.h"
#include "tests/catalog/failing_files.h"

namespace timbre {
namespace {

using testing::FaultyFileSystem;
using testing::OpenCatalog;
using testing::PublishVoice;
using testing::TempDir;

bool GoOn(size_t) { return true; }

class CatalogCheckTest : public ::testing::Test {
 protected:
  void SetUp() override {
    FileSystem& files = files_;
    ASSERT_OK(files.MakeDirectory(dir_.File("data")));
    Reopen();
    ASSERT_OK(PublishVoice(*catalog_, 1));
    ASSERT_OK(PublishVoice(*catalog_, 2));
  }

  void Reopen() {
    catalog_ = nullptr;
    auto opened = OpenCatalog(dir_.path(), files_);
    ASSERT_OK(opened);
    catalog_ = *std::move(opened);
  }

  std::string FramesOf(uint64_t version) const {
    return VersionDir(dir_.File("data"), "alice", version) + "/total_fea.npy";
  }

  // Another byte in the middle: sizes stay.
  void Flip(uint64_t version) {
    std::string contents = *ReadFile(FramesOf(version));
    contents[contents.size() / 2] ^= 1;
    ASSERT_OK(WriteFileDurably(FramesOf(version), contents));
  }

  StoredVersion Find(uint64_t version) {
    return *catalog_->NextVersion("alice", version - 1);
  }

  absl::StatusOr<StoredFrames> OpenFrames(uint64_t version) {
    return catalog_->OpenFrames({"alice", version}, [] { return false; });
  }

  absl::Status Check(uint64_t version) {
    const StoredVersion found = Find(version);
    return catalog_->Conclude(found, catalog_->Compare(found, GoOn),
                              MonotonicNow());
  }

  absl::Status Search(const Lease& lease) {
    std::vector<float> row(lease->index->dimension(), 1.0F);
    SearchScratch scratch;
    int64_t id = -1;
    float distance = 0;
    return lease->index->Search(row.data(), 1,
                                {.k = 1, .nprobe = 4, .candidates = 8}, scratch,
                                &id, &distance);
  }

  const TempDir dir_;
  FaultyFileSystem files_{dir_.path()};
  std::unique_ptr<Catalog> catalog_;
};

TEST_F(CatalogCheckTest, VersionsComeInTheOrderOfTheirNumbers) {
  EXPECT_EQ(catalog_->NextVersion("", 0)->version, 1U);
  EXPECT_EQ(catalog_->NextVersion("alice", 1)->version, 2U);
  EXPECT_FALSE(catalog_->NextVersion("alice", 2));
  EXPECT_FALSE(catalog_->NextVersion("bob", 0));
  const auto bytes_of = [&](uint64_t version) {
    return catalog_->Compare(Find(version), [](size_t) { return true; }).bytes;
  };
  EXPECT_GT(bytes_of(1), 0U);
  EXPECT_EQ(catalog_->StoredBytes(""), bytes_of(1) + bytes_of(2));
  EXPECT_EQ(catalog_->StoredBytes("bob"), 0U);
  const uint64_t first = bytes_of(1);
  const uint64_t before = catalog_->LookAtChecks(MonotonicNow()).bytes;
  ASSERT_OK(Check(1));
  EXPECT_EQ(catalog_->LookAtChecks(MonotonicNow()).bytes, before + first);
}

TEST_F(CatalogCheckTest, AByteThatOnlyADigestMissesDamagesThatVersionAlone) {
  const Lease held = *catalog_->Acquire("alice", 2);
  const StoredFrames read = *OpenFrames(2);
  ASSERT_OK(Search(held));
  Flip(2);
  ASSERT_OK(catalog_->Acquire("alice", 2));  // nobody has looked yet
  const absl::Status damage = Check(2);
  EXPECT_TRUE(absl::IsDataLoss(damage)) << damage;
  EXPECT_TRUE(absl::IsDataLoss(Search(held))) << "who holds it hears of it";
  EXPECT_TRUE(absl::IsDataLoss(read.store->Check())) << "and who reads frames";
  EXPECT_EQ(testing::FindLoaded(*catalog_, "alice", 2), nullptr);
  // Nor are its frames read for downloads and new versions.
  EXPECT_TRUE(absl::IsDataLoss(OpenFrames(2).status()));
  ASSERT_OK(OpenFrames(1));
  for (int i = 0; i < 3; ++i) {
    const absl::Status status = catalog_->Acquire("alice", 2).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  }
  const SpeakerInfo info = *catalog_->GetSpeaker("alice");
  EXPECT_TRUE(info.versions[0].damage.ok());
  EXPECT_TRUE(absl::IsDataLoss(info.versions[1].damage));
  EXPECT_FALSE(info.versions[1].loaded);
  EXPECT_EQ(catalog_->Stats().versions_damaged, 1U);
  ASSERT_OK(catalog_->Acquire("alice", 1));
  EXPECT_TRUE(absl::IsDataLoss(Check(2)));
  EXPECT_EQ(catalog_->LookAtChecks(MonotonicNow()).damaged, 1U) << "no news";
}

TEST_F(CatalogCheckTest, DamageIsNotComparedAnewWhileTheFilesStayAsTheyAre) {
  Flip(1);
  EXPECT_TRUE(absl::IsDataLoss(Check(1)));
  const uint64_t before = catalog_->LookAtChecks(MonotonicNow()).bytes;
  EXPECT_FALSE(catalog_->Acquire("alice", 1).ok());
  EXPECT_EQ(catalog_->LookAtChecks(MonotonicNow()).bytes, before);
  // Another damage is compared, once.
  Flip(1);
  Flip(1);
  EXPECT_FALSE(catalog_->Acquire("alice", 1).ok());
  const uint64_t after = catalog_->LookAtChecks(MonotonicNow()).bytes;
  EXPECT_GT(after, before);
  EXPECT_FALSE(catalog_->Acquire("alice", 1).ok());
  EXPECT_EQ(catalog_->LookAtChecks(MonotonicNow()).bytes, after);
}

TEST_F(CatalogCheckTest, ARestoredVersionServesAgain) {
  const std::string whole = *ReadFile(FramesOf(2));
  Flip(2);
  EXPECT_TRUE(absl::IsDataLoss(Check(2)));
  ASSERT_OK(WriteFileDurably(FramesOf(2), whole));
  const auto lease = catalog_->Acquire("alice", 2);
  ASSERT_OK(lease);
  ASSERT_OK(Search(*lease));
  EXPECT_TRUE(catalog_->GetSpeaker("alice")->versions[1].damage.ok());
  EXPECT_EQ(catalog_->Stats().versions_damaged, 0U);
}

TEST_F(CatalogCheckTest, ARestoredVersionIsWholeForWhoComparesIt) {
  const std::string whole = *ReadFile(FramesOf(1));
  Flip(1);
  EXPECT_TRUE(absl::IsDataLoss(Check(1)));
  ASSERT_OK(WriteFileDurably(FramesOf(1), whole));
  ASSERT_OK(Check(1));
  EXPECT_TRUE(catalog_->GetSpeaker("alice")->versions[0].damage.ok());
  ASSERT_OK(catalog_->Acquire("alice", 1));
}

TEST_F(CatalogCheckTest, WhatIsDeletedMeanwhileIsNotDamaged) {
  const StoredVersion found = Find(1);
  ASSERT_OK(catalog_->DeleteVersion("alice", 1));
  const Comparison compared = catalog_->Compare(found, GoOn);
  EXPECT_TRUE(absl::IsDataLoss(compared.status));
  EXPECT_TRUE(
      absl::IsNotFound(catalog_->Conclude(found, compared, MonotonicNow())));
  EXPECT_EQ(catalog_->LookAtChecks(MonotonicNow()).damaged, 0U);
}

TEST_F(CatalogCheckTest, WhatCannotBeReadIsNotDamagedNorCompared) {
  const StoredVersion found = Find(1);
  const absl::Time before = MonotonicNow();
  // Every operation of it, one after the other, until none is left to fail.
  for (int nth = 1;; ++nth) {
    files_.FailOnce(nth, EIO);
    const Comparison compared = catalog_->Compare(found, GoOn);
    if (files_.failed().empty()) break;
    const absl::Status status =
        catalog_->Conclude(found, compared, MonotonicNow());
    if (files_.failed().find(kTuningFile) == std::string::npos) {
      EXPECT_FALSE(status.ok()) << files_.failed();
    }
    EXPECT_FALSE(absl::IsDataLoss(status)) << files_.failed() << status;
  }
  files_.Heal();
  EXPECT_TRUE(catalog_->GetSpeaker("alice")->versions[0].damage.ok());
  ASSERT_OK(catalog_->Acquire("alice", 1));
  ASSERT_OK(Check(1));
  ASSERT_OK(Check(2));
  const absl::Time now = MonotonicNow();
  EXPECT_LE(catalog_->LookAtChecks(now).oldest_age_seconds,
            absl::ToDoubleSeconds(now - before));
}

TEST_F(CatalogCheckTest, WhoCallsItOffLearnsNothing) {
  Flip(1);
  const StoredVersion found = Find(1);
  const Comparison compared =
      catalog_->Compare(found, [](size_t) { return false; });
  EXPECT_TRUE(absl::IsCancelled(compared.status));
  EXPECT_TRUE(
      absl::IsCancelled(catalog_->Conclude(found, compared, MonotonicNow())));
  ASSERT_OK(catalog_->Acquire("alice", 1));
}

TEST_F(CatalogCheckTest, ComparisonsEndWithTheServer) {
  Flip(1);
  EXPECT_TRUE(absl::IsDataLoss(Check(1)));
  Flip(1);  // an opening would compare it anew
  catalog_->EndComparisons();
  EXPECT_TRUE(absl::IsCancelled(catalog_->Acquire("alice", 1).status()));
  EXPECT_TRUE(absl::IsCancelled(Check(2)));
}

TEST_F(CatalogCheckTest, AgesCountFromTheStartOrThePublication) {
  const absl::Time now = MonotonicNow();
  const absl::Time later = now + absl::Hours(1);
  EXPECT_GE(catalog_->LookAtChecks(later).oldest_age_seconds, 3600.0);
  EXPECT_LT(catalog_->LookAtChecks(later).oldest_age_seconds, 3700.0);
  const StoredVersion first = Find(1);
  ASSERT_OK(catalog_->Conclude(first, catalog_->Compare(first, GoOn), later));
  EXPECT_GE(catalog_->LookAtChecks(later).oldest_age_seconds, 3600.0)
      << "the other one was not compared";
  const StoredVersion second = Find(2);
  ASSERT_OK(catalog_->Conclude(second, catalog_->Compare(second, GoOn), later));
  EXPECT_EQ(catalog_->LookAtChecks(later).oldest_age_seconds, 0.0);
}

TEST_F(CatalogCheckTest, OpeningsAndComparisonsMayGoOnAtOnce) {
  const std::string whole = *ReadFile(FramesOf(2));
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      while (!stop.load()) {
        const auto lease = catalog_->Acquire("alice", 2);
        const absl::Status status =
            lease.ok() ? Search(*lease) : lease.status();
        EXPECT_TRUE(status.ok() || absl::IsDataLoss(status)) << status;
        ASSERT_OK(catalog_->Acquire("alice", 1));
        catalog_->Stats();
        catalog_->LookAtChecks(MonotonicNow());
      }
    });
  }
  for (int i = 0; i < 10; ++i) {
    Flip(2);
    EXPECT_TRUE(absl::IsDataLoss(Check(2)));
    // Nobody has it any more, also who was about to open it.
    EXPECT_TRUE(absl::IsDataLoss(catalog_->Acquire("alice", 2).status()));
    EXPECT_EQ(testing::FindLoaded(*catalog_, "alice", 2), nullptr);
    ASSERT_OK(WriteFileDurably(FramesOf(2), whole));
    if (i % 2 == 0) {
      ASSERT_OK(Check(2));
    } else {
      ASSERT_OK(catalog_->Acquire("alice", 2));
    }
  }
  stop.store(true);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(catalog_->Stats().versions_damaged, 0U);
}

TEST_F(CatalogCheckTest, AMissingManifestIsDamage) {
  ASSERT_OK(FileSystem::Posix().Remove(
      VersionDir(dir_.File("data"), "alice", 1) + "/manifest.json"));
  EXPECT_TRUE(absl::IsDataLoss(Check(1)));
  EXPECT_TRUE(
      absl::IsDataLoss(catalog_->GetSpeaker("alice")->versions[0].damage));
}

}  // namespace
}  // namespace timbre
