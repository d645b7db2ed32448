#include "server/catalog/catalog.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "server/base/errors.h"
#include "server/base/file_system.h"
#include "server/catalog/records/file_names.h"
#include "tests/catalog/failing_files.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

using testing::BuildFrames;
using testing::Speech;
using testing::TempDir;

class CatalogTest : public ::testing::Test {
 protected:
  void SetUp() override { Reopen(); }

  void Reopen(uint32_t keep_versions = 0) {
    catalog_ = nullptr;
    auto opened = Catalog::Open({.data_dir = dir_.File("data"),
                                 .keep_versions = keep_versions,
                                 .kernels = &BestKernels()});
    ASSERT_OK(opened);
    catalog_ = *std::move(opened);
  }

  absl::StatusOr<VersionInfo> Publish(const std::string& speaker,
                                      bool keep_inactive = false,
                                      const std::string& request_id = "") {
    auto staging = catalog_->Stage(speaker);
    if (!staging.ok()) return staging.status();
    return Finish(**staging, keep_inactive, request_id);
  }

  absl::StatusOr<VersionInfo> Finish(Staging& staging, bool keep_inactive,
                                     const std::string& request_id) {
    const auto built = BuildFrames(staging.directory(), Speech(300, 32, 1),
                                   {.factory = "IVF8,PQ16x4fs,RFlat"});
    if (!built.ok()) return built.status();
    storage::Manifest manifest;
    manifest.set_frames(built->rows);
    manifest.set_frames_received(built->rows);
    manifest.set_dimension(32);
    manifest.set_metric("l2");
    manifest.set_storage(built->storage == ElementType::kFloat16 ? "float16"
                                                                 : "float32");
    manifest.set_index_factory(ToString(built->spec));
    manifest.set_default_k(8);
    manifest.set_default_nprobe(8);
    manifest.set_default_k_factor(4);
    manifest.set_keep_inactive(keep_inactive);
    manifest.set_request_id(request_id);
    return catalog_->Publish(staging, manifest, [this] { return cancelled_; });
  }

  std::string VersionFile(uint64_t version, const std::string& name) const {
    return VersionDir(dir_.File("data"), "alice", version) + "/" + name;
  }

  std::vector<uint64_t> Versions() {
    std::vector<uint64_t> numbers;
    const auto info = catalog_->GetSpeaker("alice");
    if (!info.ok()) return numbers;
    for (const VersionInfo& version : info->versions) {
      numbers.push_back(version.version);
    }
    return numbers;
  }

  TempDir dir_;
  bool cancelled_ = false;
  std::unique_ptr<Catalog> catalog_;
};

TEST_F(CatalogTest, WhatIsPublishedIsActiveOpenAndStillThereAfterARestart) {
  const auto published = Publish("alice");
  ASSERT_OK(published);
  EXPECT_EQ(published->version, 1U);
  EXPECT_TRUE(published->active);
  EXPECT_NE(testing::FindLoaded(*catalog_, "alice", 0), nullptr);
  Reopen();
  EXPECT_EQ(testing::FindLoaded(*catalog_, "alice", 0), nullptr);
  const auto lease = catalog_->Acquire("alice", 0);
  ASSERT_OK(lease);
  EXPECT_EQ((*lease)->index->rows(), 300U);
  EXPECT_EQ(catalog_->GetSpeaker("alice")->active_version, 1U);
}

TEST_F(CatalogTest, UnknownSpeakersAndVersionsAreNotFound) {
  EXPECT_EQ(catalog_->Acquire("bob", 0).status().code(),
            absl::StatusCode::kNotFound);
  ASSERT_OK(Publish("alice"));
  EXPECT_EQ(catalog_->Acquire("alice", 7).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(catalog_->DeleteVersion("alice", 7).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(catalog_->ActivateVersion("bob", 1).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(catalog_->DeleteSpeaker("bob").code(), absl::StatusCode::kNotFound);
}

TEST_F(CatalogTest, InactiveVersionsWaitToBeActivated) {
  ASSERT_OK(Publish("alice", /*keep_inactive=*/true));
  EXPECT_EQ(catalog_->Acquire("alice", 0).status().code(),
            absl::StatusCode::kFailedPrecondition);
  ASSERT_OK(catalog_->Acquire("alice", 1));
  ASSERT_OK(catalog_->ActivateVersion("alice", 1));
  ASSERT_OK(catalog_->Acquire("alice", 0));
  Reopen();
  EXPECT_EQ(catalog_->GetSpeaker("alice")->active_version, 1U);
}

TEST_F(CatalogTest, RollingBackKeepsLeasesOfTheOtherVersionAlive) {
  ASSERT_OK(Publish("alice"));
  ASSERT_OK(Publish("alice"));
  const Lease second = *catalog_->Acquire("alice", 0);
  EXPECT_EQ(second->record->manifest.version(), 2U);
  ASSERT_OK(catalog_->ActivateVersion("alice", 1));
  ASSERT_OK(catalog_->DeleteVersion("alice", 2));
  EXPECT_EQ(second->index->rows(), 300U);
  EXPECT_TRUE(second->index->store().Check().ok());
  EXPECT_EQ((*catalog_->Acquire("alice", 0))->record->manifest.version(), 1U);
}

TEST_F(CatalogTest, TheActiveVersionCannotBeDeleted) {
  ASSERT_OK(Publish("alice"));
  EXPECT_EQ(catalog_->DeleteVersion("alice", 1).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(CatalogTest, NumbersAreNeverReusedNotEvenAfterDeleteSpeaker) {
  ASSERT_OK(Publish("alice"));
  ASSERT_OK(Publish("alice"));
  ASSERT_OK(catalog_->DeleteSpeaker("alice"));
  EXPECT_EQ(catalog_->GetSpeaker("alice").status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_TRUE(catalog_->List("", "", 10).empty());
  Reopen();
  EXPECT_EQ(catalog_->GetSpeaker("alice").status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(Publish("alice")->version, 3U);
}

TEST_F(CatalogTest, ARequestIdGivesTheVersionThatItPublished) {
  ASSERT_OK(Publish("alice", false, "job-1"));
  EXPECT_EQ((*catalog_->FindRequest("alice", "job-1"))->version, 1U);
  EXPECT_EQ(*catalog_->FindRequest("alice", "job-2"), std::nullopt);
  EXPECT_EQ(Publish("alice", false, "job-1")->version, 1U);
  Reopen();
  EXPECT_EQ((*catalog_->FindRequest("alice", "job-1"))->version, 1U);
  EXPECT_EQ(Versions(), std::vector<uint64_t>{1});
}

TEST_F(CatalogTest, ABuildLosesAgainstDeletingItsSpeaker) {
  ASSERT_OK(Publish("alice"));
  auto staging = catalog_->Stage("alice");
  ASSERT_OK(staging);
  ASSERT_OK(catalog_->DeleteSpeaker("alice"));
  EXPECT_EQ(Finish(**staging, false, "").status().code(),
            absl::StatusCode::kAborted);
  EXPECT_TRUE(Versions().empty());
}

TEST_F(CatalogTest, OldInactiveVersionsAreDropped) {
  Reopen(/*keep_versions=*/2);
  for (int i = 0; i < 4; ++i) ASSERT_OK(Publish("alice"));
  EXPECT_EQ(Versions(), (std::vector<uint64_t>{3, 4}));
  ASSERT_OK(catalog_->ActivateVersion("alice", 3));
  ASSERT_OK(Publish("alice", /*keep_inactive=*/true));
  EXPECT_EQ(Versions(), (std::vector<uint64_t>{3, 5}));
}

TEST_F(CatalogTest, LeftoversOfKilledBuildsAreRemovedOnStart) {
  auto staging = catalog_->Stage("alice");
  ASSERT_OK(staging);
  const std::string leftover = StagingDir(dir_.File("data")) + "/alice.999";
  ASSERT_OK(MakeDirectories(leftover));
  ASSERT_OK(WriteFileDurably(leftover + "/received.npy", "half a file"));
  staging->reset();
  Reopen();
  EXPECT_TRUE(ListDirectory(StagingDir(dir_.File("data")))->empty());
}

TEST_F(CatalogTest, AStartRemovesFromStagingWhatItMakesItself) {
  const std::string staging = StagingDir(dir_.File("data"));
  ASSERT_OK(WriteFileDurably(staging + "/notes.txt", "a stranger's"));
  ASSERT_OK(MakeDirectories(staging + "/alice.12"));
  ASSERT_OK(WriteFileDurably(staging + "/state.json.0123456789abcdef.tmp", ""));
  Reopen();
  EXPECT_EQ(*ListDirectory(staging), std::vector<std::string>{"notes.txt"});
  ASSERT_OK(Publish("alice"));
}

TEST_F(CatalogTest, OneDamagedFileCostsOneVersion) {
  ASSERT_OK(Publish("alice"));
  ASSERT_OK(Publish("alice"));
  const std::string paths[] = {VersionFile(2, kManifestFile),
                               VersionFile(2, kIndexFile),
                               VersionFile(2, kFramesFile)};
  for (const std::string& path : paths) {
    const std::string whole = *ReadFile(path);
    for (const std::string& bad :
         {std::string(), std::string(whole.size(), '\0'),
          whole.substr(0, whole.size() / 2)}) {
      const bool undetectable =
          path == VersionFile(2, kFramesFile) && bad.size() == whole.size();
      ASSERT_OK(WriteFileDurably(path, bad));
      Reopen();
      EXPECT_EQ(Versions(), (std::vector<uint64_t>{1, 2}));
      EXPECT_EQ(catalog_->Acquire("alice", 2).status().code(),
                absl::StatusCode::kDataLoss)
          << path << " " << bad.size() << undetectable;
      ASSERT_OK(catalog_->Acquire("alice", 1));
      ASSERT_OK(WriteFileDurably(path, whole));
      // Repaired, it serves again without a restart.
      ASSERT_OK(catalog_->Acquire("alice", 2));
    }
  }
}

TEST_F(CatalogTest, NumbersThatNoServerWroteAreDamage) {
  ASSERT_OK(Publish("alice"));
  const std::string path = VersionFile(1, kManifestFile);
  const std::string whole = *ReadFile(path);
  const std::pair<const char*, const char*> changes[] = {
      {"\"default_k\": 8", "\"default_x\": 8"},
      {"\"default_k\": 8", "\"default_k\": 4000000000"},
      {"\"default_k_factor\": 4", "\"default_k_factor\": \"NaN\""},
      {"\"default_nprobe\": 8", "\"default_nprobe\": 9000"},
      {"\"dimension\": 32", "\"dimension\": 30"},
      {"IVF8,", "IVF9,"}};
  for (const auto& [from, to] : changes) {
    std::string bad = whole;
    const size_t at = bad.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    bad.replace(at, std::string(from).size(), to);
    ASSERT_OK(WriteFileDurably(path, bad));
    Reopen();
    EXPECT_EQ(catalog_->Acquire("alice", 1).status().code(),
              absl::StatusCode::kDataLoss)
        << to;
    EXPECT_FALSE(catalog_->GetSpeaker("alice")->versions[0].damage.ok());
  }
}

TEST_F(CatalogTest, ACancelledPublicationLeavesNothing) {
  auto staging = catalog_->Stage("alice");
  ASSERT_OK(staging);
  cancelled_ = true;
  EXPECT_EQ(Finish(**staging, false, "").status().code(),
            absl::StatusCode::kCancelled);
  EXPECT_TRUE(Versions().empty());
  EXPECT_TRUE(ListDirectory(SpeakersDir(dir_.File("data")))->empty());
  cancelled_ = false;
  EXPECT_TRUE(Publish("alice").ok());
}

TEST_F(CatalogTest, AFirstPublicationThatFailsLeavesNoDirectory) {
  auto staging = catalog_->Stage("alice");
  ASSERT_OK(staging);
  const std::string speaker = SpeakerDir(dir_.File("data"), "alice");
  // What is in the way of the rename is not ours, and stays.
  ASSERT_OK(MakeDirectories(speaker + "/1/stranger"));
  EXPECT_FALSE(Finish(**staging, false, "").ok());
  EXPECT_TRUE(Versions().empty());
  ASSERT_OK(RemoveTree(speaker));
}

TEST_F(CatalogTest, AStateThatCannotBeWrittenWithdrawsThePublication) {
  ASSERT_OK(Publish("alice"));
  // A directory in place of the state: it cannot be replaced.
  const std::string path = StatePath(dir_.File("data"), "alice");
  const std::string state = *ReadFile(path);
  ASSERT_OK(RemoveTree(path));
  ASSERT_OK(MakeDirectories(path + "/x"));
  EXPECT_FALSE(Publish("alice").ok());
  EXPECT_EQ(Versions(), std::vector<uint64_t>{1});
  EXPECT_EQ(ListDirectory(SpeakerDir(dir_.File("data"), "alice"))->size(), 2U);
  ASSERT_OK(RemoveTree(path));
  ASSERT_OK(WriteFileDurably(path, state));
  Reopen();
  EXPECT_EQ(Versions(), std::vector<uint64_t>{1});
  EXPECT_EQ(catalog_->GetSpeaker("alice")->active_version, 1U);
  ASSERT_OK(Publish("alice"));
}

TEST_F(CatalogTest, ADamagedStateIsRebuiltFromTheVersions) {
  ASSERT_OK(Publish("alice"));
  ASSERT_OK(Publish("alice"));
  ASSERT_OK(WriteFileDurably(StatePath(dir_.File("data"), "alice"),
                             std::string(50, '\0')));
  Reopen();
  EXPECT_EQ(catalog_->GetSpeaker("alice")->active_version, 2U);
  EXPECT_EQ(Publish("alice")->version, 3U);
}

TEST_F(CatalogTest, StrangersInTheDirectoryAreLeftAlone) {
  ASSERT_OK(MakeDirectories(dir_.File("data/speakers/Not A Speaker/1")));
  ASSERT_OK(WriteFileDurably(dir_.File("data/speakers/file"), "x"));
  Reopen();
  EXPECT_TRUE(catalog_->List("", "", 10).empty());
  EXPECT_TRUE(ListDirectory(dir_.File("data/speakers/Not A Speaker/1")).ok());
}

TEST_F(CatalogTest, ASecondCatalogOnTheDirectoryIsRefused) {
  const auto second =
      Catalog::Open({.data_dir = dir_.File("data"), .kernels = &BestKernels()});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(DetailsOf(second.status()).reason, "DATA_DIR_IN_USE");
}

TEST_F(CatalogTest, ListsInOrderAfterANameAndByPrefix) {
  for (const char* const name : {"bob", "alice", "al", "carol"}) {
    ASSERT_OK(Publish(name));
  }
  const auto names = [this](const char* prefix, const char* after, size_t n) {
    std::string joined;
    for (const SpeakerInfo& info : catalog_->List(prefix, after, n)) {
      EXPECT_EQ(info.versions.size(), 1U);
      joined += info.speaker + " ";
    }
    return joined;
  };
  EXPECT_EQ(names("", "", 10), "al alice bob carol ");
  EXPECT_EQ(names("", "", 2), "al alice ");
  EXPECT_EQ(names("", "alice", 10), "bob carol ");
  EXPECT_EQ(names("al", "", 10), "al alice ");
  EXPECT_EQ(names("al", "al", 10), "alice ");
  EXPECT_EQ(names("x", "", 10), "");
}

TEST_F(CatalogTest, StatsCountWhatIsOpenAndWhatIsBroken) {
  ASSERT_OK(Publish("alice"));
  ASSERT_OK(Publish("bob"));
  Reopen();
  EXPECT_EQ(catalog_->Stats().speakers, 2U);
  EXPECT_EQ(catalog_->Stats().speakers_loaded, 0U);
  ASSERT_OK(catalog_->Acquire("alice", 0));
  EXPECT_EQ(catalog_->Stats().speakers_loaded, 1U);
  EXPECT_GT(catalog_->Stats().budget.open.bytes, 0U);
  ASSERT_EQ(truncate(VersionFile(1, kFramesFile).c_str(), 10), 0);
  Reopen();
  // A start reads no manifest: it shows when somebody asks.
  EXPECT_EQ(catalog_->Stats().versions_damaged, 0U);
  EXPECT_EQ(catalog_->List("", "", 10).size(), 2U);
  EXPECT_EQ(catalog_->Stats().versions_damaged, 1U);
}

TEST_F(CatalogTest, ManyThreadsAcquireWhileVersionsComeAndGo) {
  ASSERT_OK(Publish("alice"));
  std::atomic<bool> stop = false;
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&] {
      while (!stop) {
        const auto lease = catalog_->Acquire("alice", 0);
        ASSERT_OK(lease);
        ASSERT_EQ((*lease)->index->rows(), 300U);
      }
    });
  }
  for (int i = 0; i < 10; ++i) {
    const auto version = Publish("alice");
    ASSERT_OK(version);
    ASSERT_OK(catalog_->DeleteVersion("alice", version->version - 1));
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace timbre
