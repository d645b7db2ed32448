#include "server/catalog/open/warm_up.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <future>
#include <memory>
#include <string>

#include "server/base/file_system.h"
#include "server/engine/frames/npy_header.h"
#include "server/kernels/kernels.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

constexpr uint64_t kRows = 20 * 1024;
constexpr uint32_t kDimension = 1024;  // 80 MiB of zeros

class WarmUpTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string path = dir_.File("total_fea.npy");
    const std::string header =
        NpyHeader(ElementType::kFloat32, kRows, kDimension);
    ASSERT_OK(WriteFileDurably(path, header));
    bytes_ = header.size() + kRows * kDimension * sizeof(float);
    ASSERT_EQ(truncate(path.c_str(), static_cast<off_t>(bytes_)), 0);
    IndexDescription description{
        .rows = kRows, .dimension = kDimension, .frames_path = path};
    description.spec.kind = IndexKind::kFlat;
    auto index = SpeakerIndex::Open(description, BestKernels());
    ASSERT_OK(index);
    index_ = *std::move(index);
    lease_ = std::make_shared<const LoadedVersion>(
        LoadedVersion{.record = nullptr, .index = index_});
  }
  void TearDown() override { pool_.Stop(); }

  size_t warm_bytes() const { return index_->store().file().warm_bytes(); }
  // Returns once the pool has done what it was given before, and what that gave
  // it.
  void Finished() {
    for (int i = 0; i < 100; ++i) {
      std::promise<void> done;
      pool_.Submit([&done] { done.set_value(); });
      done.get_future().wait();
    }
  }

  const testing::TempDir dir_;
  size_t bytes_ = 0;
  std::shared_ptr<const SpeakerIndex> index_;
  Lease lease_;
  ThreadPool pool_{"warm", 1};
};

TEST_F(WarmUpTest, ReadsAheadUpToALimit) {
  EXPECT_FALSE(IsReadAhead(*lease_));
  ReadAheadFrames(*lease_, [] { return false; });
  EXPECT_TRUE(IsReadAhead(*lease_));
  EXPECT_EQ(warm_bytes(), kReadAheadBytes);
  EXPECT_FALSE(IsWarm(*lease_));
}

TEST_F(WarmUpTest, ReadsNothingForThoseWhoHaveGoneAndGoesOnFromThere) {
  ReadAheadFrames(*lease_, [] { return true; });
  EXPECT_EQ(warm_bytes(), 0U);
  int asked = 0;
  ReadAheadFrames(*lease_, [&] { return ++asked > 3; });
  const size_t some = warm_bytes();
  EXPECT_GT(some, 0U);
  EXPECT_FALSE(IsReadAhead(*lease_));
  asked = 0;
  ReadAheadFrames(*lease_, [&] { return ++asked > 1; });
  EXPECT_GT(warm_bytes(), some);
}

TEST_F(WarmUpTest, TheRestIsReadFromTheSecondUseOn) {
  ReadAheadFrames(*lease_, [] { return false; });
  WarmUp(pool_, *lease_);
  Finished();
  EXPECT_EQ(warm_bytes(), kReadAheadBytes);
  WarmUp(pool_, *lease_);
  Finished();
  EXPECT_GE(warm_bytes(), bytes_);
  EXPECT_TRUE(IsWarm(*lease_));
}

TEST_F(WarmUpTest, WhatIsClosedIsLeftAlone) {
  std::promise<void> go;
  pool_.Submit([wait = go.get_future().share()] { wait.wait(); });
  WarmUp(pool_, *lease_);
  WarmUp(pool_, *lease_);
  const std::weak_ptr<const MappedFile> file = index_->store().shared_file();
  lease_.reset();
  index_.reset();
  EXPECT_TRUE(file.expired());
  go.set_value();
  Finished();
}

}  // namespace
}  // namespace timbre
