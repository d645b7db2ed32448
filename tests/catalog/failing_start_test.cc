// Every file operation of a start, of a build's own files and of opening a
// version fails in turn.
#include <gtest/gtest.h>

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "server/base/errors.h"
#include "server/catalog/records/file_names.h"
#include "tests/catalog/failing_files.h"

namespace timbre {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace)

constexpr int kErrors[] = {EIO, ENOSPC, EMFILE};

struct Start {
  const char* name;
  // Makes what the start finds of a directory with two versions.
  std::function<void(const std::string& data)> prepare;
};

std::ostream& operator<<(std::ostream& out, const Start& start) {
  return out << start.name;
}

class FailingStartTest : public ::testing::TestWithParam<Start> {
 protected:
  void SetUp() override {
    {
      const auto catalog = OpenCatalog(base_.path());
      ASSERT_OK(catalog);
      ASSERT_OK(PublishVoice(**catalog, 1));
      ASSERT_OK(PublishVoice(**catalog, 2));
    }
    GetParam().prepare(base_.path() + "/data");
    const TempDir started;
    CopyTree(base_.path(), started.path());
    FaultyFileSystem files(started.path());
    const auto catalog = OpenCatalog(started.path(), files);
    ASSERT_OK(catalog);
    operations_ = files.operations();
    expected_ = Describe(**catalog);
  }

  void ExpectAfterPowerCut(const FaultyFileSystem& files) const {
    for (const auto names :
         {FaultyFileSystem::Names::kSynced, FaultyFileSystem::Names::kAll}) {
      const TempDir left;
      files.CutPower(names, left.path());
      EXPECT_EQ(DescribeDisk(left.path()), expected_) << "after a power cut";
    }
  }

  // A start in which `fault` happens, and the next one.
  void TryToStart(const std::function<void(FaultyFileSystem&)>& fault) {
    const TempDir root;
    CopyTree(base_.path(), root.path());
    FaultyFileSystem files(root.path());
    fault(files);
    auto catalog = OpenCatalog(root.path(), files);
    files.Heal();
    SCOPED_TRACE("failed: " + files.failed());
    if (catalog.ok()) {
      // What failed to be read on start is read when it is asked for.
      EXPECT_EQ(Describe(**catalog), expected_);
      catalog->reset();
    } else {
      EXPECT_FALSE(absl::IsFailedPrecondition(catalog.status()))
          << catalog.status();
      EXPECT_FALSE(absl::IsDataLoss(catalog.status())) << catalog.status();
    }
    ExpectAfterPowerCut(files);
    EXPECT_EQ(DescribeDisk(root.path()), expected_) << "after a restart";
  }

  TempDir base_;
  std::string expected_;
  int operations_ = 0;
};

TEST_P(FailingStartTest, EveryOperationMayFailOnce) {
  const size_t descriptors = OpenDescriptors();
  for (int nth = 1; nth <= operations_; ++nth) {
    for (const int errno_value : kErrors) {
      TryToStart(
          [&](FaultyFileSystem& files) { files.FailOnce(nth, errno_value); });
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_EQ(OpenDescriptors(), descriptors);
}

TEST_P(FailingStartTest, TheProcessMayEndBeforeEveryOperation) {
  for (int nth = 1; nth <= operations_; ++nth) {
    TryToStart([&](FaultyFileSystem& files) { files.EndAt(nth); });
    if (HasFatalFailure()) return;
  }
}

void Keep(const std::string&) {}

void Empty(const std::string& data) { std::filesystem::remove_all(data); }

void BeforeFormat(const std::string& data) {
  std::filesystem::remove(data + "/FORMAT");
}

// The second version is there, the state does not know it.
void HalfPublished(const std::string& data) {
  ASSERT_OK(WriteFileDurably(
      StatePath(data, "alice"),
      R"({"format": 1, "active_version": "1", "last_version": "1"})"));
}

void HalfDeleted(const std::string& data) {
  ASSERT_OK(WriteFileDurably(
      StatePath(data, "alice"),
      R"({"format": 1, "last_version": "2", "deleted_through": "2"})"));
}

void DamagedState(const std::string& data) {
  ASSERT_OK(WriteFileDurably(StatePath(data, "alice"), "damaged"));
}

void HalfBuilt(const std::string& data) {
  std::filesystem::copy(VersionDir(data, "alice", 1),
                        StagedDir(data, "alice", 1));
}

INSTANTIATE_TEST_SUITE_P(
    Starts, FailingStartTest,
    ::testing::Values(Start{"AsItWasLeft", Keep}, Start{"FirstOfAll", Empty},
                      Start{"WithoutFormat", BeforeFormat},
                      Start{"HalfPublished", HalfPublished},
                      Start{"HalfDeleted", HalfDeleted},
                      Start{"DamagedState", DamagedState},
                      Start{"HalfBuilt", HalfBuilt}),
    [](const ::testing::TestParamInfo<Start>& start) {
      return std::string(start.param.name);
    });

TEST(FailingOpenTest, WhatFailsOnceIsNoDamageAndIsNotRemembered) {
  const TempDir root;
  ASSERT_OK(PublishVoice(**OpenCatalog(root.path()), 1));
  const std::string expected = DescribeDisk(root.path());
  FaultyFileSystem files(root.path());
  int operations = 0;
  {
    auto catalog = OpenCatalog(root.path(), files);
    ASSERT_OK(catalog);
    files.Heal();
    ASSERT_OK((*catalog)->Acquire("alice", 0));
    operations = files.operations();
  }
  EXPECT_GT(operations, 5);
  for (int nth = 1; nth <= operations; ++nth) {
    for (const int errno_value : kErrors) {
      auto catalog = OpenCatalog(root.path(), files);
      ASSERT_OK(catalog);
      files.FailOnce(nth, errno_value);
      const absl::Status status = (*catalog)->Acquire("alice", 0).status();
      SCOPED_TRACE("failed: " + files.failed());
      files.Heal();
      EXPECT_EQ(status.code(), errno_value == EIO
                                   ? absl::StatusCode::kInternal
                                   : absl::StatusCode::kResourceExhausted)
          << status;
      EXPECT_EQ((*catalog)->Stats().versions_damaged, 0U);
      EXPECT_EQ(Describe(**catalog), expected);
    }
  }
}

TEST(FailingStartsTest, AVoiceThatCannotBeReadCostsThatVoiceUntilItCan) {
  const TempDir root;
  {
    const auto catalog = OpenCatalog(root.path());
    ASSERT_OK(catalog);
    ASSERT_OK(PublishVoice(**catalog, 1));
  }
  const std::string state = StatePath(root.path() + "/data", "alice");
  const std::string contents = *ReadFile(state);
  // A directory in its place cannot be read either.
  ASSERT_OK(RemoveTree(state));
  ASSERT_OK(MakeDirectories(state));
  const auto catalog = OpenCatalog(root.path());
  ASSERT_OK(catalog);
  EXPECT_EQ((*catalog)->Acquire("alice", 0).status().code(),
            absl::StatusCode::kInternal);
  EXPECT_EQ((*catalog)->Stage("alice").status().code(),
            absl::StatusCode::kInternal);
  EXPECT_EQ((*catalog)->DeleteSpeaker("alice").code(),
            absl::StatusCode::kInternal);
  ASSERT_OK((*catalog)->Stage("bob"));
  ASSERT_OK(RemoveTree(state));
  ASSERT_OK(WriteFileDurably(state, contents));
  ASSERT_OK((*catalog)->Acquire("alice", 0));
  ASSERT_OK(PublishVoice(**catalog, 2));
}

// All that a build can do: centroids of the frames, their neighbours' means, a
// normalised copy, half precision.
TEST(FailingBuildTest, EveryOperationOfABuildMayFail) {
  const auto build = [](FaultyFileSystem& files, const std::string& directory) {
    return BuildFrames(directory, Speech(80, 16, 1),
                       {.metric = Metric::kCosine,
                        .storage = ElementType::kFloat16,
                        .reduce_to_centroids = 60,
                        .database_expansion_k = 3,
                        .files = &files})
        .status();
  };
  int operations = 0;
  {
    const TempDir whole;
    FaultyFileSystem files(whole.path());
    ASSERT_OK(build(files, whole.path()));
    EXPECT_EQ(*ListDirectory(whole.path()),
              (std::vector<std::string>{kIndexFile, kFramesFile}));
    operations = files.operations();
  }
  const size_t descriptors = OpenDescriptors();
  for (int nth = 1; nth <= operations; ++nth) {
    const TempDir directory;
    FaultyFileSystem files(directory.path());
    files.FailOnce(nth, EIO);
    EXPECT_EQ(build(files, directory.path()).code(),
              absl::StatusCode::kInternal)
        << files.failed();
  }
  EXPECT_EQ(OpenDescriptors(), descriptors);
}

}  // namespace
}  // namespace timbre
