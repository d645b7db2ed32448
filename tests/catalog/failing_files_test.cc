// Every file operation of every change fails in turn, or the process ends
// there, or the power does. What was acknowledged is there then; what failed is
// wholly there or wholly absent, the same before and after a restart.
#include "tests/catalog/failing_files.h"

#include <gtest/gtest.h>

#include <functional>
#include <ostream>

#include "server/base/errors.h"
#include "server/base/status_macros.h"

namespace timbre {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace)

using Change = std::function<absl::Status(Catalog&)>;

struct Scenario {
  const char* name;
  Change prepare;
  Change change;
};

std::ostream& operator<<(std::ostream& out, const Scenario& scenario) {
  return out << scenario.name;
}

absl::Status Nothing(Catalog&) { return absl::OkStatus(); }

absl::Status TwoVersions(Catalog& catalog) {
  TIMBRE_RETURN_IF_ERROR(PublishVoice(catalog, 1));
  return PublishVoice(catalog, 2);
}

absl::Status OneVersion(Catalog& catalog) { return PublishVoice(catalog, 1); }

absl::Status DeletedSpeaker(Catalog& catalog) {
  TIMBRE_RETURN_IF_ERROR(OneVersion(catalog));
  return catalog.DeleteSpeaker("alice");
}

absl::Status Activate(Catalog& catalog) {
  TIMBRE_ASSIGN_OR_RETURN(const uint64_t first, VersionOf(catalog, 1));
  return catalog.ActivateVersion("alice", first).status();
}

absl::Status DeleteVersion(Catalog& catalog) {
  TIMBRE_ASSIGN_OR_RETURN(const uint64_t first, VersionOf(catalog, 1));
  return catalog.DeleteVersion("alice", first).status();
}

absl::Status ApplyTuning(Catalog& catalog) {
  TIMBRE_ASSIGN_OR_RETURN(const Lease lease, catalog.Acquire("alice", 0));
  return catalog.ApplyTuning(lease, {.nprobe = 3, .k_factor = 5, .curve = {}});
}

// A voice with one version, whatever it had before, on its way to another one.
class FailingFilesTest : public ::testing::TestWithParam<Scenario> {
 protected:
  void SetUp() override {
    const TempDir done;
    {
      const auto catalog = OpenCatalog(base_.path());
      ASSERT_OK(catalog);
      ASSERT_OK(GetParam().prepare(**catalog));
      before_ = testing::Describe(**catalog);
    }
    CopyTree(base_.path(), done.path());
    FaultyFileSystem files(done.path());
    const auto catalog = OpenCatalog(done.path(), files);
    ASSERT_OK(catalog);
    ASSERT_EQ(testing::Describe(**catalog), before_);
    files.Heal();
    ASSERT_OK(GetParam().change(**catalog));
    operations_ = files.operations();
    after_ = testing::Describe(**catalog);
    ASSERT_NE(before_, after_);
    ASSERT_GE(operations_, 2);
  }

  void ExpectEither(const std::string& state, const std::string& when) const {
    EXPECT_TRUE(state == before_ || state == after_) << when << ":\n"
                                                     << state << "instead of\n"
                                                     << before_ << "or\n"
                                                     << after_;
  }

  // What the disk has after a power cut is `expected`, or where that is empty
  // what was there before or what is there after.
  void CutPower(const FaultyFileSystem& files, const std::string& expected) {
    for (const auto names :
         {FaultyFileSystem::Names::kSynced, FaultyFileSystem::Names::kAll}) {
      const TempDir left;
      files.CutPower(names, left.path());
      const std::string state = DescribeDisk(left.path());
      const char* const when = names == FaultyFileSystem::Names::kAll
                                   ? "a power cut, all names there"
                                   : "a power cut, only synced names there";
      if (expected.empty()) {
        ExpectEither(state, when);
      } else {
        EXPECT_EQ(state, expected) << when;
      }
    }
  }

  void FailOnce(int nth, int errno_value) {
    const TempDir root;
    CopyTree(base_.path(), root.path());
    FaultyFileSystem files(root.path());
    auto catalog = OpenCatalog(root.path(), files);
    ASSERT_OK(catalog);
    files.FailOnce(nth, errno_value);
    const absl::Status status = GetParam().change(**catalog);
    files.Heal();
    SCOPED_TRACE(
        absl::StrCat("failed: ", files.failed(), "; ", status.ToString()));
    const std::string live = testing::Describe(**catalog);
    EXPECT_FALSE(absl::IsDataLoss(status));
    if (absl::IsUnknown(status)) {
      EXPECT_EQ(DetailsOf(status).reason, "OUTCOME_UNKNOWN");
      EXPECT_EQ(DetailsOf(status).retry_after, std::nullopt);
      ExpectEither(live, "after it failed");
    } else {
      EXPECT_EQ(live, status.ok() ? after_ : before_);
    }
    ExpectAfterRestart(files, live);
    CutPower(files, status.ok() ? after_ : "");
    if (!status.ok()) Repeat(**catalog, files);
    const std::string last = testing::Describe(**catalog);
    catalog->reset();
    EXPECT_EQ(DescribeDisk(root.path()), last) << "after a restart at the end";
  }

  // On a copy: the catalogue goes on.
  static void ExpectAfterRestart(const FaultyFileSystem& files,
                                 const std::string& state) {
    const TempDir copy;
    files.CutPower(FaultyFileSystem::Names::kAsItIs, copy.path());
    EXPECT_EQ(DescribeDisk(copy.path()), state) << "after a restart";
  }

  // An acknowledgement after a failure is worth as much as any.
  void Repeat(Catalog& catalog, const FaultyFileSystem& files) {
    const absl::Status status = GetParam().change(catalog);
    if (absl::IsNotFound(status)) return;  // it was deleted after all
    EXPECT_TRUE(status.ok()) << "when repeated: " << status;
    EXPECT_EQ(testing::Describe(catalog), after_) << "when repeated";
    SCOPED_TRACE("repeated");
    CutPower(files, after_);
  }

  void EndAt(int nth) {
    const TempDir root;
    CopyTree(base_.path(), root.path());
    FaultyFileSystem files(root.path());
    auto catalog = OpenCatalog(root.path(), files);
    ASSERT_OK(catalog);
    files.EndAt(nth);
    GetParam().change(**catalog).IgnoreError();
    SCOPED_TRACE(absl::StrCat("ended before: ", files.failed()));
    CutPower(files, "");
    catalog->reset();
    ExpectEither(DescribeDisk(root.path()), "after the process has ended");
  }

  TempDir base_;
  std::string before_;
  std::string after_;
  int operations_ = 0;
};

TEST_P(FailingFilesTest, EveryOperationMayFailOnce) {
  const size_t descriptors = OpenDescriptors();
  constexpr int kErrors[] = {EIO, ENOSPC, EMFILE};
  // One of them each where there are many operations: those of a build.
  const bool all = operations_ < 20;
  for (int nth = 1; nth <= operations_; ++nth) {
    for (int i = 0; i < 3; ++i) {
      if (all || nth % 3 == i) FailOnce(nth, kErrors[i]);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_EQ(OpenDescriptors(), descriptors);
}

TEST_P(FailingFilesTest, TheProcessMayEndBeforeEveryOperation) {
  const size_t descriptors = OpenDescriptors();
  for (int nth = 1; nth <= operations_; ++nth) {
    EndAt(nth);
    if (HasFatalFailure()) return;
  }
  EXPECT_EQ(OpenDescriptors(), descriptors);
}

// Beyond one failure: nothing works any more, but the process goes on.
TEST_P(FailingFilesTest, WhatIsSaidAfterEverythingFailsIsWhatARestartSays) {
  for (int nth = 1; nth <= operations_; ++nth) {
    const TempDir root;
    CopyTree(base_.path(), root.path());
    FaultyFileSystem files(root.path());
    auto catalog = OpenCatalog(root.path(), files);
    ASSERT_OK(catalog);
    files.EndAt(nth);
    const absl::Status status = GetParam().change(**catalog);
    files.Heal();
    SCOPED_TRACE(absl::StrCat("everything failed from: ", files.failed()));
    const std::string live = testing::Describe(**catalog);
    if (!status.ok() && !absl::IsUnknown(status)) {
      EXPECT_EQ(live, before_) << status;
    }
    ExpectAfterRestart(files, live);
    Repeat(**catalog, files);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Changes, FailingFilesTest,
    ::testing::Values(
        Scenario{"BuildAndPublishTheFirst", Nothing,
                 [](Catalog& catalog) { return PublishVoice(catalog, 1); }},
        Scenario{"BuildAndPublishAnother", OneVersion,
                 [](Catalog& catalog) { return PublishVoice(catalog, 2); }},
        Scenario{"PublishInactive", OneVersion,
                 [](Catalog& catalog) {
                   return PublishVoice(catalog, 2, /*keep_inactive=*/true);
                 }},
        Scenario{"PublishAfterDeletion", DeletedSpeaker,
                 [](Catalog& catalog) { return PublishVoice(catalog, 2); }},
        Scenario{"Activate", TwoVersions, Activate},
        Scenario{"DeleteVersion", TwoVersions, DeleteVersion},
        Scenario{
            "DeleteSpeaker", TwoVersions,
            [](Catalog& catalog) { return catalog.DeleteSpeaker("alice"); }},
        Scenario{"ApplyTuning", OneVersion, ApplyTuning}),
    [](const ::testing::TestParamInfo<Scenario>& scenario) {
      return std::string(scenario.param.name);
    });

}  // namespace
}  // namespace timbre
