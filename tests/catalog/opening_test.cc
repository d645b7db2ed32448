// Opening versions beside their deletion, and where there are too few
// descriptors.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>
#include <vector>

#include "server/base/errors.h"
#include "server/base/file_system.h"
#include "server/catalog/records/file_names.h"
#include "tests/catalog/failing_files.h"

namespace timbre {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace)

class OpeningTest : public ::testing::Test {
 protected:
  void SetUp() override { Reopen(); }

  void Reopen() {
    catalog_ = nullptr;
    auto opened = OpenCatalog(root_.path());
    ASSERT_OK(opened);
    catalog_ = *std::move(opened);
  }

  TempDir root_;
  std::unique_ptr<Catalog> catalog_;
};

TEST_F(OpeningTest, AVersionThatIsBeingDeletedIsThereOrNotFound) {
  ASSERT_OK(PublishVoice(*catalog_, 0, /*keep_inactive=*/true));
  std::atomic<uint64_t> version = 1;
  std::atomic<bool> stop = false;
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&] {
      while (!stop) {
        const auto lease = catalog_->Acquire("alice", version);
        if (lease.ok()) continue;
        EXPECT_EQ(lease.status().code(), absl::StatusCode::kNotFound)
            << lease.status();
      }
    });
  }
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    if (seed % 3 == 0) {
      ASSERT_OK(catalog_->DeleteSpeaker("alice"));
    } else {
      ASSERT_OK(catalog_->DeleteVersion("alice", version));
    }
    ASSERT_OK(PublishVoice(*catalog_, seed, /*keep_inactive=*/true));
    version = *VersionOf(*catalog_, seed);
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
}

TEST_F(OpeningTest, WhyAFileOfADeletedVersionCannotBeReadIsThatItWasDeleted) {
  ASSERT_OK(PublishVoice(*catalog_, 1));
  ASSERT_OK(PublishVoice(*catalog_, 2));
  const Lease first = *catalog_->Acquire("alice", 1);
  const absl::Status error =
      MakeError(absl::StatusCode::kDataLoss, "FILE_CORRUPT", "gone");
  EXPECT_EQ(catalog_->WhyUnreadable(*first->record, error), error);
  EXPECT_TRUE(catalog_->WhyUnreadable(*first->record, absl::OkStatus()).ok());
  ASSERT_OK(catalog_->DeleteVersion("alice", 1));
  EXPECT_EQ(catalog_->WhyUnreadable(*first->record, error).code(),
            absl::StatusCode::kNotFound);
}

TEST_F(OpeningTest, OpenVersionsHoldNoDescriptors) {
  ASSERT_OK(PublishVoice(*catalog_, 1));
  const size_t before = OpenDescriptors();
  std::vector<Lease> leases;
  for (uint64_t seed = 2; seed < 6; ++seed) {
    ASSERT_OK(PublishVoice(*catalog_, seed));
    leases.push_back(*catalog_->Acquire("alice", seed));
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

// Lets nothing be opened.
class NoDescriptors {
 public:
  NoDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    struct rlimit few = before_;
    few.rlim_cur = 3;
    setrlimit(RLIMIT_NOFILE, &few);
  }
  ~NoDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  struct rlimit before_ {};
};

TEST_F(OpeningTest, AShortageOfDescriptorsIsNoDamageAndPasses) {
  ASSERT_OK(PublishVoice(*catalog_, 1));
  Reopen();
  {
    const NoDescriptors none;
    const absl::Status status = catalog_->Acquire("alice", 0).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    EXPECT_NE(status.message().find("the limit of this process is 3 "
                                    "(RLIMIT_NOFILE)"),
              absl::string_view::npos)
        << status;
  }
  EXPECT_TRUE(catalog_->GetSpeaker("alice")->versions[0].damage.ok());
  ASSERT_OK(catalog_->Acquire("alice", 0));
}

TEST_F(OpeningTest, SeveralVersionsAreAcquiredAllOrNone) {
  ASSERT_OK(PublishVoice(*catalog_, 1));
  ASSERT_OK(PublishVoice(*catalog_, 1, false, "bob"));
  Reopen();
  const auto acquire = [&](std::vector<VoiceName> voices) {
    MemoryBudget::Visit visit(catalog_->budget());
    return catalog_->AcquireAll(voices, visit, [] { return false; });
  };
  EXPECT_TRUE(absl::IsNotFound(acquire({{"alice"}, {"carol"}}).status()));
  EXPECT_EQ(catalog_->Stats().budget.versions, 0U);
  // The same version under two names, and in the order of the voices.
  const auto leases = acquire({{"bob"}, {"alice", 1}, {"bob", 1}});
  ASSERT_OK(leases);
  ASSERT_EQ(leases->size(), 3U);
  EXPECT_EQ((*leases)[0], (*leases)[2]);
  EXPECT_EQ((*leases)[0]->record->manifest.speaker(), "bob");
  EXPECT_EQ((*leases)[1]->record->manifest.speaker(), "alice");
  EXPECT_EQ(catalog_->Stats().budget.versions, 2U);
}

TEST_F(OpeningTest, WhatWasRepairedIsOpenedAnewBesideStreamsThatHoldTheOld) {
  ASSERT_OK(PublishVoice(*catalog_, 1));
  const std::string frames =
      VersionDir(root_.File("data"), "alice", 1) + "/total_fea.npy";
  const std::string whole = *ReadFile(frames);
  std::vector<Lease> held = {*catalog_->Acquire("alice", 0)};
  const auto damage_and_repair = [&] {
    ASSERT_EQ(truncate(frames.c_str(), 10), 0);
    EXPECT_FALSE(held.back()->index->store().Check().ok());
    EXPECT_TRUE(absl::IsDataLoss(catalog_->Acquire("alice", 0).status()));
    ASSERT_OK(WriteFileDurably(frames, whole));
  };
  damage_and_repair();
  held.push_back(*catalog_->Acquire("alice", 0));
  EXPECT_NE(held[1]->index, held[0]->index);
  EXPECT_EQ(*catalog_->Acquire("alice", 0), held[1]);
  damage_and_repair();
  ASSERT_OK(catalog_->ActivateVersion("alice", 1));
  EXPECT_NE(catalog_->Acquire("alice", 0).value()->index, held[1]->index);
}

TEST_F(OpeningTest, WhatStreamsHoldIsNotInTheWayOfPublicationAndActivation) {
  ASSERT_OK(PublishVoice(*catalog_, 1));
  const uint64_t one = catalog_->Stats().budget.open.bytes;
  catalog_ = nullptr;
  auto opened = Catalog::Open({.data_dir = root_.File("data"),
                               .kernels = &BestKernels(),
                               .budget = {.limit = {.bytes = one + one / 2}}});
  ASSERT_OK(opened);
  catalog_ = *std::move(opened);
  auto held = catalog_->Acquire("alice", 1);
  ASSERT_OK(held);
  ASSERT_OK(PublishVoice(*catalog_, 2, /*keep_inactive=*/true));
  ASSERT_OK(catalog_->ActivateVersion("alice", 2));
  const absl::Status refused = catalog_->Acquire("alice", 2).status();
  EXPECT_EQ(DetailsOf(refused).reason, "MEMORY_BUDGET");
  EXPECT_EQ(catalog_->Acquire("alice", 1).value(), *held);
  ASSERT_OK(catalog_->OpenFrames({"alice", 2}, [] { return false; }));
  held->reset();
  ASSERT_OK(catalog_->Acquire("alice", 2));
}

TEST_F(OpeningTest, AListOfManyVoicesIsCompleteAndSorted) {
  ASSERT_OK(PublishVoice(*catalog_, 1));
  const std::string speakers = root_.File("data") + "/speakers/";
  // Without a manifest of their own they are damaged, and listed so.
  for (int i = 0; i < 200; ++i) {
    std::filesystem::copy(speakers + "alice",
                          absl::StrCat(speakers, "v", 1000 + i),
                          std::filesystem::copy_options::recursive);
  }
  Reopen();
  const auto infos = catalog_->List("v", "v1002", 150);
  ASSERT_EQ(infos.size(), 150U);
  for (size_t i = 0; i < infos.size(); ++i) {
    EXPECT_EQ(infos[i].speaker, absl::StrCat("v", 1003 + i));
    EXPECT_TRUE(absl::IsDataLoss(infos[i].versions[0].damage));
  }
  EXPECT_EQ(catalog_->List("", "", 1000).size(), 201U);
  EXPECT_EQ(catalog_->Stats().speakers, 201U);
}

}  // namespace
}  // namespace timbre
