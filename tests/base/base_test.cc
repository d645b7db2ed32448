// checksum, cpu_quota and thread_pool.
#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "server/base/checksum.h"
#include "server/base/cpu_quota.h"
#include "server/base/file_system.h"
#include "server/base/thread_pool.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

TEST(ChecksumTest, EmptyInputHasTheDigestOfTheReferenceImplementation) {
  // `printf '' | xxhsum -H2`
  EXPECT_EQ(DigestOf(""), "xxh3-128:99aa06d3014798d86001c324468d497f");
}

TEST(ChecksumTest, PiecesWholeAndFileAgree) {
  const testing::TempDir dir;
  std::string data(3'000'001, 'x');
  data[1'500'000] = 'y';
  Checksum pieces;
  pieces.Update(data.data(), 7);
  pieces.Update(data.data() + 7, data.size() - 7);
  ASSERT_OK(WriteFileDurably(dir.File("f"), data));
  EXPECT_EQ(pieces.Digest(), DigestOf(data));
  EXPECT_EQ(*DigestOfFile(dir.File("f")), DigestOf(data));
}

TEST(CpuQuotaTest, CpuMaxIsUnderstood) {
  EXPECT_DOUBLE_EQ(ParseCpuMax("150000 100000\n"), 1.5);
  EXPECT_EQ(ParseCpuMax("max 100000\n"), 0);
  EXPECT_EQ(ParseCpuMax("-1 100000"), 0);
  EXPECT_EQ(ParseCpuMax("nonsense"), 0);
  EXPECT_GE(AvailableCpus(), 1);
}

TEST(ThreadPoolTest, RunsEverythingBeforeItStops) {
  std::atomic<int> ran = 0;
  ThreadPool pool("test", 3);
  for (int i = 0; i < 1000; ++i) pool.Submit([&ran] { ++ran; });
  pool.Stop();
  EXPECT_EQ(ran, 1000);
  pool.Submit([&ran] { ++ran; });
  EXPECT_EQ(ran, 1000);
}

TEST(ThreadPoolTest, TasksRunAtTheSameTime) {
  ThreadPool pool("test", 2);
  std::promise<void> first;
  std::promise<void> second;
  pool.Submit([&] {
    first.set_value();
    second.get_future().wait();
  });
  pool.Submit([&] {
    first.get_future().wait();
    second.set_value();
  });
  pool.Stop();
}

}  // namespace
}  // namespace timbre
