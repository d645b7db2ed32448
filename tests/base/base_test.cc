// checksum and thread_pool.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <set>
#include <thread>

#include "server/base/checksum.h"
#include "server/base/file_system.h"
#include "server/base/mutex.h"
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

TEST(ChecksumTest, AStoredFileHasTheSameDigestAroundThePageCache) {
  const testing::TempDir dir;
  // Whole pieces and not, empty, and one byte at the end of a piece.
  for (const size_t size : {size_t{0}, size_t{1}, size_t{4096}, size_t{262144},
                            size_t{262145}, size_t{1'000'000}}) {
    std::string data(size, 'x');
    if (size > 0) data.back() = 'y';
    ASSERT_OK(WriteFileDurably(dir.File("f"), data));
    EXPECT_EQ(*DigestOfStoredFile(dir.File("f"), FileSystem::Posix(),
                                  [](size_t) { return true; }),
              DigestOf(data))
        << size;
  }
  EXPECT_TRUE(absl::IsCancelled(
      DigestOfStoredFile(dir.File("f"), FileSystem::Posix(), [](size_t) {
        return false;
      }).status()));
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

// A pool of one thread that is kept busy until it is let go.
class BusyPool {
 public:
  BusyPool() {
    pool_.Submit([this] {
      busy_.set_value();
      go_.get_future().wait();
    });
    busy_.get_future().wait();
  }
  ThreadPool& operator*() { return pool_; }
  // Runs what was submitted meanwhile.
  void Finish() {
    go_.set_value();
    pool_.Stop();
  }

 private:
  std::promise<void> busy_;
  std::promise<void> go_;
  ThreadPool pool_{"test", 1};
};

TEST(ThreadPoolTest, WhatIsForEachThreadRunsOnceOnEach) {
  ThreadPool pool("test", 3);
  for (int round = 0; round < 100; ++round) {
    Mutex mutex;
    std::set<std::thread::id> threads;  // guarded by mutex
    std::atomic<int> runs = 0;
    const auto all = std::make_shared<std::promise<void>>();
    pool.SubmitToEach([&, all] {
      {
        const MutexLock lock(mutex);
        threads.insert(std::this_thread::get_id());
      }
      if (++runs == 3) all->set_value();
    });
    all->get_future().get();
    EXPECT_EQ(threads.size(), 3U);
  }
}

TEST(ThreadPoolTest, UrgentTasksGoFirstButNotForever) {
  BusyPool pool;
  std::string order;
  (*pool).Submit([&] { order += 'b'; }, ThreadPool::Urgency::kBulk);
  (*pool).Submit([&] { order += 'B'; }, ThreadPool::Urgency::kBulk);
  for (int i = 0; i < ThreadPool::kUrgentInARow + 2; ++i) {
    (*pool).Submit([&] { order += 'u'; });
  }
  pool.Finish();
  EXPECT_EQ(order, std::string(ThreadPool::kUrgentInARow, 'u') + "buuB");
}

TEST(ThreadPoolTest, LongTasksLetUrgentOnesPass) {
  BusyPool pool;
  std::string order;
  (*pool).Submit([&] {
    order += '1';
    (*pool).RunUrgent();
    order += '2';
    (*pool).RunUrgent();  // no other is urgent
    order += '3';
  });
  (*pool).Submit([&] { order += 'b'; }, ThreadPool::Urgency::kBulk);
  for (int i = 0; i < ThreadPool::kUrgentInARow + 1; ++i) {
    (*pool).Submit([&] { order += 'u'; });
  }
  pool.Finish();
  EXPECT_EQ(order, "1" + std::string(ThreadPool::kUrgentInARow, 'u') + "2u3b");
}

TEST(ThreadPoolTest, IdleThreadsAreGivenTasksAndBusyOnesAreNot) {
  BusyPool busy;
  EXPECT_FALSE((*busy).TasksWait());
  EXPECT_FALSE((*busy).SubmitIfIdle([] { ADD_FAILURE() << "ran"; }));
  (*busy).Submit([] {});
  EXPECT_TRUE((*busy).TasksWait());
  busy.Finish();
  EXPECT_FALSE((*busy).SubmitIfIdle([] { ADD_FAILURE() << "ran"; }));

  ThreadPool idle("test", 1);
  std::promise<void> ran;
  while (!idle.SubmitIfIdle([&ran] { ran.set_value(); })) {
    std::this_thread::yield();
  }
  ran.get_future().wait();
}

}  // namespace
}  // namespace timbre
