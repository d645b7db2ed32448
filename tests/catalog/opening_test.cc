// Opening versions beside their deletion, and where there are too few
// descriptors.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <thread>
#include <vector>

#include "server/base/errors.h"
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

}  // namespace
}  // namespace timbre
