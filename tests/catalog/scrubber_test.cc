#include "server/catalog/scrubber.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/base/monotonic_clock.h"
#include "server/base/mutex.h"
#include "server/catalog/records/file_names.h"
#include "tests/catalog/failing_files.h"

namespace timbre {
namespace {

using testing::OpenCatalog;
using testing::PublishVoice;
using testing::TempDir;

TEST(PaceTest, WaitsAsLongAsBytesTakeAtItsRate) {
  Pace pace(1000);
  absl::Time now = absl::UnixEpoch();
  EXPECT_EQ(pace.Take(500, now), absl::Milliseconds(500));
  now += absl::Milliseconds(500);
  EXPECT_EQ(pace.Take(250, now), absl::Milliseconds(250));
  EXPECT_EQ(pace.Take(250, now), absl::Milliseconds(500));
  // A disk that was slow is not made up for.
  now += absl::Seconds(10);
  EXPECT_EQ(pace.Take(1000, now), absl::Seconds(1));
}

// Time that passes where somebody waits.
class FakeTime {
 public:
  absl::Time Now() {
    const MutexLock lock(mutex_);
    return now_;
  }
  void Wait(absl::Duration duration) {
    const MutexLock lock(mutex_);
    if (duration > absl::ZeroDuration()) now_ += duration;
    ++waits_;
  }
  int waits() {
    const MutexLock lock(mutex_);
    return waits_;
  }

 private:
  Mutex mutex_;
  absl::Time now_ ABSL_GUARDED_BY(mutex_) = MonotonicNow();
  int waits_ ABSL_GUARDED_BY(mutex_) = 0;
};

class ScrubberTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = OpenCatalog(dir_.path());
    ASSERT_OK(opened);
    catalog_ = *std::move(opened);
    ASSERT_OK(PublishVoice(*catalog_, 1));
    ASSERT_OK(PublishVoice(*catalog_, 2));
  }

  std::unique_ptr<Scrubber> Start(uint64_t bytes_per_second) {
    return std::make_unique<Scrubber>(
        *catalog_,
        Scrubber::Options{.bytes_per_second = bytes_per_second,
                          .now = [this] { return time_.Now(); },
                          .wait = [this](absl::Duration d) { time_.Wait(d); }});
  }

  template <typename Condition>
  static bool Comes(const Condition& condition) {
    const absl::Time end = MonotonicNow() + absl::Seconds(10);
    while (MonotonicNow() < end) {
      if (condition()) return true;
      std::this_thread::yield();
    }
    return false;
  }

  CheckStats Stats() { return catalog_->LookAtChecks(time_.Now()); }

  const TempDir dir_;
  FakeTime time_;
  std::unique_ptr<Catalog> catalog_;
};

TEST_F(ScrubberTest, GoesRoundAndRoundAtItsRate) {
  constexpr uint64_t kRate = 1000;
  const uint64_t all = catalog_->StoredBytes("");
  const absl::Time start = time_.Now();
  const auto scrubber = Start(kRate);
  ASSERT_TRUE(Comes([&] { return Stats().bytes >= 3 * all; }));
  scrubber->Stop();
  const uint64_t bytes = Stats().bytes;
  const double seconds = absl::ToDoubleSeconds(time_.Now() - start);
  // What was read last may not have been waited for.
  EXPECT_LE(static_cast<double>(bytes), seconds * kRate + 65536.0);
  // Nothing was compared longer ago than two rounds take.
  const double round = static_cast<double>(all + 2 * Scrubber::kVersionBytes) /
                       static_cast<double>(kRate);
  EXPECT_LE(Stats().oldest_age_seconds, 2 * round + 1);
}

TEST_F(ScrubberTest, LittleIsNotReadAgainAtOnce) {
  const uint64_t all = catalog_->StoredBytes("");
  const absl::Time start = time_.Now();
  const auto scrubber = Start(1'000'000'000);
  ASSERT_TRUE(Comes([&] { return Stats().bytes >= 10 * all; }));
  scrubber->Stop();
  EXPECT_GE(time_.Now() - start, 9 * Scrubber::kShortestRound);
}

TEST_F(ScrubberTest, FindsDamageByItselfAndThatItIsGone) {
  const std::string path =
      VersionDir(dir_.File("data"), "alice", 1) + "/total_fea.npy";
  const std::string whole = *ReadFile(path);
  std::string other = whole;
  other[other.size() / 2] ^= 1;
  const auto scrubber = Start(1'000'000);
  ASSERT_OK(WriteFileDurably(path, other));
  ASSERT_TRUE(Comes([&] { return Stats().damaged == 1; }));
  EXPECT_TRUE(absl::IsDataLoss(catalog_->Acquire("alice", 1).status()));
  ASSERT_OK(catalog_->Acquire("alice", 2));
  ASSERT_OK(WriteFileDurably(path, whole));
  ASSERT_TRUE(Comes(
      [&] { return catalog_->GetSpeaker("alice")->versions[0].damage.ok(); }));
  EXPECT_EQ(Stats().damaged, 1U);
}

TEST_F(ScrubberTest, RestsWhereNothingIsStored) {
  ASSERT_OK(catalog_->DeleteSpeaker("alice"));
  const auto scrubber = Start(1000);
  ASSERT_TRUE(Comes([&] { return time_.waits() >= 3; }));
  scrubber->Stop();
  EXPECT_EQ(Stats().bytes, 0U);
  EXPECT_EQ(Stats().oldest_age_seconds, 0.0);
}

TEST_F(ScrubberTest, EndsAtOnceInTheMiddleOfAWait) {
  // A thousand years for the first file.
  Scrubber scrubber(*catalog_, {.bytes_per_second = 1});
  ASSERT_TRUE(Comes([&] { return Stats().bytes > 0; }));
  const absl::Time before = MonotonicNow();
  scrubber.Stop();
  EXPECT_LT(MonotonicNow() - before, absl::Seconds(10));
}

TEST_F(ScrubberTest, VoicesMayComeAndGoMeanwhile) {
  const auto scrubber = Start(1'000'000'000);
  for (uint64_t seed = 3; seed < 8; ++seed) {
    ASSERT_OK(PublishVoice(*catalog_, seed));
    ASSERT_OK(catalog_->DeleteVersion("alice", seed - 2));
    ASSERT_OK(catalog_->Acquire("alice", seed));
  }
  ASSERT_OK(catalog_->DeleteSpeaker("alice"));
  scrubber->Stop();
  EXPECT_EQ(Stats().damaged, 0U);
}

}  // namespace
}  // namespace timbre
